"""PEFT methods: a module for each method, their weights, and the stack that applies the adapters of many trials."""
