"""Make contrastive data of any persona set: `python -m persona_sweeps.data.contrast`."""
