"""Exercises of lesson 05: the live lab."""
