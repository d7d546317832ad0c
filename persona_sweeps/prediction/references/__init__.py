"""References: predictors that train nothing and are there to be beaten. Importing them imports no torch."""
