"""Exercises of the live lab."""
