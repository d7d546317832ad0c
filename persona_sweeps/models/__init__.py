"""Base models: where their weights come from, and the tiny twins that rehearse them."""
