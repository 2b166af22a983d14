"""Images and a fitted estimator -> figures, each with its unit."""
