"""Where to compute: ``auto``, ``cpu``, ``cuda`` or ``mps`` as a torch device."""

from __future__ import annotations

import torch

from explorer.errors import RunError


def resolve(name: str) -> torch.device:
    """The device of that name; ``auto`` prefers CUDA, then Apple's MPS, then the CPU.

    Raises:
        RunError: The device is absent on this machine, or the name is unknown.
    """
    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(kind for kind, there in present.items() if there))
    if name not in present:
        raise RunError(f"There is no device {name!r}: choose auto, cpu, cuda or mps.")
    if not present[name]:
        there = " or ".join(kind for kind in ("cuda", "mps", "cpu") if present[kind])
        raise RunError(
            f"This machine has no {name} device that PyTorch can use: choose auto or {there}."
        )
    return torch.device(name)
