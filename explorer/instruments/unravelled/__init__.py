"""Paths of a few units switched off in the unravelled view (Veit16 Fig 1)."""
