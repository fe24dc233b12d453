"""Blocks deleted and moved by hand, and what becomes of each class (Veit16 §4.1 to §4.3)."""
