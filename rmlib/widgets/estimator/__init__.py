"""The estimator explorer."""
