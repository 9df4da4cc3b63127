"""Figures with alt texts, in colours that colour-blind readers can tell apart."""
