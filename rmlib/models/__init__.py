"""Pretrained encoders with their heads."""
