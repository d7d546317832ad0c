"""Look at data before training: examples as tokens, amounts, leaks between parts."""
