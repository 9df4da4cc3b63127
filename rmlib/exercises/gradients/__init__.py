"""Exercises of lesson 02: gradients three ways."""
