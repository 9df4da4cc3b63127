"""Exercises of lesson 07: the study of rewards."""
