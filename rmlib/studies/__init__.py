"""Studies over many seeds: their runs, their tables and their statistics."""
