"""Experiment trackers: each is a kind, whose package is imported only in the process that shows records there.

    with following({"wandb": tracker}, output_dir, sweep, rows, console.note):
        ...  # train; `rows` are cells as a sweep's record lists them

`entries` reads what is to be shown, `showing` shows each thing once, `ledger` remembers it, and a module a tracker says
how it is shown there.
"""
