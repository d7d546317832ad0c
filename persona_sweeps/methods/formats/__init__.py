"""PEFT's file formats: what a folder holds (without torch), whether it fits a model, and reading and writing it."""
