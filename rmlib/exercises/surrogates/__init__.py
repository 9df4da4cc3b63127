"""Exercises of lesson 03: rewards one can train on."""
