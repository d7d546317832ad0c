"""A study: Optuna draws settings, the engine trains them, and their results decide the next settings."""
