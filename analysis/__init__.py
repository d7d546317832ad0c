"""From run records to tables: `python -m analysis --help`.

    records ──▶ settings (seeds of one config together) ──▶ tables ──▶ Markdown, CSV and figures

Everything here reads the files that runs leave behind and nothing else: no model, no Hydra, no torch.
"""
