"""Exercises of lesson 06: the sentiment case."""
