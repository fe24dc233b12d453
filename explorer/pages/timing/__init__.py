"""Timing: how long a forward pass takes."""
