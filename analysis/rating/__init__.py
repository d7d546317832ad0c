"""People as judges, and models: blinded sheets made from samples, ratings read back, and what they say.

samples ──▶ design (units: who stands where) ──▶ sheet (HTML, CSV) ──▶ people ──▶ ratings ──▶ results
                 └────────▶ key (kept apart) ──────────────────────────────────────▶┘
                                 └──▶ judge (a model behind an endpoint) ──▶ ratings
"""
