"""Exercises on rewards that one can only sample."""
