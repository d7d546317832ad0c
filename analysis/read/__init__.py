"""Reads what runs leave behind: records, evaluations, samples, sweeps and studies. Standard library only."""
