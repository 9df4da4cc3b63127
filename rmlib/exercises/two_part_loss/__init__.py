"""Exercises on the two-part loss."""
