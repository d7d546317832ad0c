"""The engine trains the trials of one base model together, in one pass a step."""
