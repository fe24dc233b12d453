"""Gradient at the input by path length (Veit16 Fig 6)."""
