"""Accuracy with blocks of one shape reordered more and more (Veit16 Fig 5b)."""
