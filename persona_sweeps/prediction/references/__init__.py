"""References: predictors that train nothing and serve as baselines. Importing them imports no torch."""
