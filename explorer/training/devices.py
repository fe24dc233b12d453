"""Where to compute: ``auto``, ``cpu``, ``cuda`` or ``mps`` as a torch device; and its memory."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache

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


def own_stream(device: torch.device) -> torch.cuda.Stream | None:
    """A stream of CUDA that is nobody else's; None on other devices."""
    if device.type != "cuda":
        return None
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


@contextmanager
def apart(stream: torch.cuda.Stream | None) -> Iterator[None]:
    """Inside the block CUDA computes on this stream, after and before what others do; None: as is.

    Each waits for the other at both ends, so that memory may pass between them.
    """
    if stream is None:
        yield
        return
    outside = torch.cuda.current_stream(stream.device)
    stream.wait_stream(outside)
    try:
        with torch.cuda.stream(stream):
            yield
    finally:
        outside.wait_stream(stream)


_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)


@lru_cache(maxsize=1)
def keep_memory() -> None:
    """From now on this process keeps the memory that a step has freed, for the next step.

    A step of a convolutional net on a CPU takes and frees hundreds of MB; glibc hands them back
    each time, and the system clears every page of them anew. Measured for resnet_v2_20, 32×32,
    batch 128: some 12,000 page faults a step, 7 % of its time, come down to none. Elsewhere than
    under glibc nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return
    with suppress(OSError, AttributeError):  # another C library
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
        libc.mallopt(_MMAP_THRESHOLD, 2**30)
