"""Carry out a group of runs on one base model: train, predict, score, and write the records."""
