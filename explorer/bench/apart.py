"""A case of a benchmark in a process of its own: what one case does to memory, no other sees.

The allocator of a process can be set to keep memory between steps, which ours is and the plain
way's is not; and the most memory that was in use is known of a process alone.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext
from pathlib import Path
from typing import Any

Work = Callable[[], object]


def _context() -> SpawnContext | ForkServerContext:
    """One process imports torch; those of the cases are forked from it, before it computes."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["explorer.training.loop", "torchvision"])
    return context


class Apart:
    """``make(*given)`` in a fresh process, which gives the work to be measured.

    Args:
        make: A function of a module; called once, it prepares and returns the work.
        threads: Of torch there.
    """

    def __init__(self, make: Callable[..., Work], *given: Any, device: str, threads: int) -> None:
        context = _context()
        self._here, there = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(there, make, given, device, threads), daemon=True
        )
        self._process.start()
        there.close()
        self._answer()

    def __call__(self) -> float:
        """Does the work once; returns the seconds that it took there."""
        self._here.send("go")
        seconds: float = self._answer()
        return seconds

    def end(self) -> int | None:
        """Ends the process; returns the most bytes that the work had in use, if they are known."""
        self._here.send("end")
        peak: int | None = self._answer()
        self._process.join()
        return peak

    def _answer(self) -> Any:
        kind, value = self._here.recv()
        if kind == "error":
            self._process.join()
            raise value
        return value


def _serve(
    asked: Connection, make: Callable[..., Work], given: tuple[Any, ...], device: str, threads: int
) -> None:
    import time

    import torch

    torch.set_num_threads(threads)
    on_gpu = device.startswith("cuda")
    try:
        before = _forget_peak()
        work = make(*given)
        asked.send(("ready", None))
        while asked.recv() == "go":
            start = time.perf_counter()
            work()
            if on_gpu:
                torch.cuda.synchronize()
            asked.send(("seconds", time.perf_counter() - start))
        if on_gpu:
            asked.send(("peak", torch.cuda.max_memory_allocated()))
        else:
            peak = _status("VmHWM")
            asked.send(("peak", None if peak is None or before is None else peak - before))
    except Exception as error:
        asked.send(("error", error))


def _forget_peak() -> int | None:
    """From now on the peak counts anew; returns what is in use now. Linux only."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return None
    return _status("VmRSS")


def _status(name: str) -> int | None:
    """A number of bytes from the process's own status."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next(
        (1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), None
    )
