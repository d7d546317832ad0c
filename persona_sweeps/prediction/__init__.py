"""Predict on held-out prompts: batched generation, decodings, and references."""
