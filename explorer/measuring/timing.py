"""How long a forward pass takes: burn-in steps that are not counted, then timed ones.

Cost: ``burn_in + steps`` forward passes. For a comparison with the plain way or with another
library's net in one run see :mod:`explorer.bench.forward`.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch

from explorer.errors import Cancelled
from explorer.nets import Net
from explorer.nets.fast import FastNet
from explorer.results import ForwardTiming

REPORT_EVERY = 10  # steps


def time_forward(
    net: Net,
    *,
    images: int,
    steps: int = 100,
    burn_in: int = 10,
    fast: bool = False,
    on_progress: Callable[[ForwardTiming], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> ForwardTiming:
    """Seconds a batch of random images, in eval mode, on the device that the net lies on.

    Args:
        fast: Norms folded, channels_last, bfloat16 where it pays; else the net as it stands.
        on_progress: Told the timing so far every ten steps.

    Raises:
        Cancelled: ``cancelled`` said so between two steps.
    """
    device = next(net.parameters()).device
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(images, *net.spec.input_shape, generator=generator).to(device)
    was_training = net.training
    net.eval()
    quick = FastNet(net) if fast else None
    seconds: list[float] = []

    def timing() -> ForwardTiming:
        return ForwardTiming(
            n_images=images,
            burn_in=burn_in,
            seconds=np.asarray(seconds, dtype=np.float64),
            multiply_adds=net.blueprint.multiply_adds,
            device=str(device),
            dtype=str(quick.dtype if quick else torch.float32).removeprefix("torch."),
            layout="channels_last" if quick is not None and quick.channels_last else "contiguous",
            threads=torch.get_num_threads(),
        )

    try:
        for step in range(-burn_in, steps):
            if cancelled is not None and cancelled():
                raise Cancelled("The timing was given up.")
            _wait(device)
            start = time.perf_counter()
            with torch.inference_mode():
                (quick or net)(x)
            _wait(device)
            if step >= 0:
                seconds.append(time.perf_counter() - start)
                if on_progress is not None and (step + 1) % REPORT_EVERY == 0:
                    on_progress(timing())
    finally:
        net.train(was_training)
    return timing()


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
