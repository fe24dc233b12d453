"""Training: the lock-step loop, its checkpoints, and the shipped weights' recipes.

The modules are imported by name (``explorer.training.loop``), so that this package costs nothing.
"""
