"""Accuracy with more and more blocks deleted at random (Veit16 Fig 5a)."""
