"""Training: the lock-step loop, its checkpoints, and the recipes of the shipped weights."""

from explorer.training.loop import Session

__all__ = ["Session"]
