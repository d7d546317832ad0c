"""What comes after a sweep: load a run, merge it into its base, and talk with it."""
