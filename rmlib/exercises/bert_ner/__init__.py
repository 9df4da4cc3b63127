"""Exercises of lesson 04: fine-tuning a BERT to find names."""
