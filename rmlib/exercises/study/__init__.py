"""Exercises on the study of rewards."""
