"""The run's schema, the registry of kinds, and messages about mistakes in a config."""
