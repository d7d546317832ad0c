"""Metrics on generated text, one module a family.

`rouge` and `bleu` are modules of the `evaluate` library: load one by its path (`evaluate.load("…/metrics/rouge.py")`)
or make it directly (`Rouge().compute(predictions=…, references=…)`); neither needs a network. Each file stands alone,
since `evaluate` copies it elsewhere before it imports it. `overlap` puts both together for one run: corpus values for
the record, values per item for samples.jsonl, and the versions that make two runs comparable.

To add a family, write one such module and name it in the config group `metrics`.
"""
