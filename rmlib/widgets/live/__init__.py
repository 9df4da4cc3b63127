"""Live training: a training under controls that may move at any step."""
