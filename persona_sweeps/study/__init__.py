"""A study: Optuna asks for settings, the engine trains them, and what becomes of each decides what comes next."""
