"""The instant head: a linear head fitted again at every move of α."""
