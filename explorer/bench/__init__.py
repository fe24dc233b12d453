"""Measured speed: each benchmark compares with the plain way in the same run.

A row is ``case``, ``ratio`` (plain ÷ ours, medians), both medians and their spread; the
conditions stand beside the rows. A benchmark is not a test: it asserts nothing.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any, Literal

from explorer.system.machine import processor


def conditions(device: str, **more: Any) -> dict[str, Any]:
    """Under what a benchmark ran: device, threads, versions, and what it was given."""
    import torch

    from explorer.system.versions import versions

    kind = device.partition(":")[0]
    name = torch.cuda.get_device_name(device) if kind == "cuda" else processor()
    return {
        "device": device,
        "processor": name,
        "threads": torch.get_num_threads(),
        "versions": versions(),
        **more,
    }


def precisions(device: str) -> tuple[Literal["float32", "bfloat16"], ...]:
    """float32, and bfloat16 where the device computes faster in it.

    Where it is emulated, a case takes minutes that nobody would wait for.
    """
    from explorer.nets.fast import bfloat16_pays

    pays = bfloat16_pays(device.partition(":")[0])
    return ("float32", "bfloat16") if pays else ("float32",)


def row(case: str, plain: Sequence[float], ours: Sequence[float], **more: Any) -> dict[str, Any]:
    """One case from the seconds of its repeats."""
    return {
        "case": case,
        "ratio": statistics.median(plain) / statistics.median(ours),
        "plain_s": statistics.median(plain),
        "ours_s": statistics.median(ours),
        "ours_min_s": min(ours),
        "ours_max_s": max(ours),
        **more,
    }


def in_turns(
    cases: dict[str, Callable[[], object]],
    repeats: int,
    device: str,
    *,
    burn_in: int = 1,
    after_each: Callable[[int, dict[str, list[float]]], None] | None = None,
) -> dict[str, list[float]]:
    """Seconds of each case, ``repeats`` times each in turns, so that all meet the same machine.

    Args:
        burn_in: Turns before them that are not counted.
        after_each: Told after each counted turn how many there were, and all seconds so far.
    """
    import time

    import torch

    def wait() -> None:
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        elif device.startswith("mps"):
            torch.mps.synchronize()

    seconds: dict[str, list[float]] = {case: [] for case in cases}
    for turn in range(1 - burn_in, repeats + 1):
        for case, work in cases.items():
            wait()
            start = time.perf_counter()
            work()
            wait()
            if turn > 0:
                seconds[case].append(time.perf_counter() - start)
        if after_each is not None and turn > 0:
            after_each(turn, seconds)
    return seconds
