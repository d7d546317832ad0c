"""Metric `overlap`: how many words, or letters, a model's text shares with the character's line in the source."""
