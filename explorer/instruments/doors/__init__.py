"""Doors: what the shell, Python, jobs and links make of any instrument's declaration."""
