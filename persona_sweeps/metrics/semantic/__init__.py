"""Metric `semantic`: how near a text's meaning is to the real line's, by an encoder."""
