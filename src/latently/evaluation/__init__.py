"""Images and a fitted estimator -> metrics, each with its unit."""
