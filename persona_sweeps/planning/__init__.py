"""What is known of a plan before any run starts: what stands in the way, what it will take, how it fits."""
