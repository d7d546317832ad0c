"""Carry out a plan: in this process, in worker processes, or by jobs of a cluster."""
