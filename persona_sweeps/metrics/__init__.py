"""Metrics: what a predictor's texts and likelihoods are worth, one module a metric.

A metric (`metric.Metric`) says which predictions it needs, scores them as plain lines, and describes its values. It
needs no base model and no torch. To add one, write such a module, name it in config/kinds.py, and give it a YAML file
in conf/metrics; one of your own is named by `_target_` in a YAML file of yours.

`rouge` and `bleu` are modules of the `evaluate` library: load one by its path (`evaluate.load("…/metrics/rouge.py")`)
or make it directly (`Rouge().compute(predictions=…, references=…)`); neither needs a network. Each file stands alone,
since `evaluate` copies it elsewhere before it imports it.
"""
