"""The public Python interface: run a sweep, read what was measured; `deployment` loads what was trained.

These are `persona_sweeps.sweep`, `.load_runs` and `.load_predictor`; all else may change without notice.
"""
