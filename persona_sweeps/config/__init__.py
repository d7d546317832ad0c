"""The run's schema, and mistakes in a config, told in a sentence."""
