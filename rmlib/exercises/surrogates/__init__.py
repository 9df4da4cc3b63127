"""Exercises on rewards one can train on."""
