"""Exercises on fine-tuning a BERT to find names."""
