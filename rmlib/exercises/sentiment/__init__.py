"""Exercises of the sentiment case."""
