"""The engine: trials of one base model, trained together in one pass a step."""
