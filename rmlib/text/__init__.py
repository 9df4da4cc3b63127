"""Text and labels: downloads, corpora, subword tokens, batches, decoding and metrics."""
