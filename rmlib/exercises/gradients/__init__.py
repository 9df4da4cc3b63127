"""Exercises on gradients three ways."""
