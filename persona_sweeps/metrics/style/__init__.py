"""Metric `style`: a classifier of a character's voice, fitted on the training scenes, scores what a run says."""
