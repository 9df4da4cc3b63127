"""The landscape explorer."""
