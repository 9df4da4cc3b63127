"""The pretrained encoder and its heads, and what makes them faster or smaller to train."""
