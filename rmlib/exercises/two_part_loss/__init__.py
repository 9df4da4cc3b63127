"""Exercises of lesson 01: the loss of two parts."""
