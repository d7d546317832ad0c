"""PEFT methods: a module for each kind, their weights, and the stack that applies the adapters of many trials."""
