"""Sweep: families of nets at several depths."""
