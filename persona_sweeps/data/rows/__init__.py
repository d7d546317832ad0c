"""Read tables, JSON and chat logs of any kind as rows, each with its place for messages about faults."""
