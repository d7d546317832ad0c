"""The offline report: one HTML file that opens from disk and needs no network; all that records hold is hostile to it.

    selection ──▶ tables, curves, quality, transcripts, runs (what is shown) ──▶ page (HTML)

Each module but `page` and `text` gathers one part of it; `assets` has the templates, and the styles and scripts that
are put into the file.
"""
