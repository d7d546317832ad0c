"""What a trial is worth on held-out examples: likelihood, generation, and metrics on the generated texts."""
