"""A group of runs on one base model, from their data to their records."""
