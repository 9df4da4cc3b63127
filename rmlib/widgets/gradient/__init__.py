"""The gradient explorer."""
