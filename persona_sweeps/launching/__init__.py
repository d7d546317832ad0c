"""From Hydra's jobs to a plan that is carried out in its place."""
