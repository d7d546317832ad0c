"""Metrics: what a predictor's texts and likelihoods are worth, one module a metric.

A metric (`metric.Metric`) says which predictions it needs, scores them as plain lines, and describes its values. It
needs no base model and no torch. To add one, write such a module, name it in config/kinds.py, and give it a YAML file
in conf/metrics; one of your own is named by `_target_` in a YAML file of yours.

What scores a text against its reference is a module of the `evaluate` library (`overlap.rouge`, `bleu`, `meteor`,
`chrf`): load one by its path (`evaluate.load("…/metrics/overlap/rouge.py")`) or make it directly
(`Rouge().compute(predictions=…, references=…)`); none needs a network. Such a file has no relative import, since
`evaluate` copies it elsewhere before it imports it.
"""
