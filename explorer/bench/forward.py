"""Seconds of a forward pass: float32 as it stands against channels_last and bfloat16.

``ratio`` is the plain pass (float32, contiguous, batch norms apart) ÷ the case.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from explorer.bench import conditions, in_turns, row
from explorer.nets import Net
from explorer.nets.fast import fold_batch_norms


def bench_forward(
    net: Net, *, images: int, repeats: int, device: str, seed: int = 0
) -> dict[str, Any]:
    """Rows of cases with seconds a batch and images a second, and the conditions."""
    net = net.to(device).eval()
    x = torch.randn(
        images, *net.spec.input_shape, generator=torch.Generator().manual_seed(seed)
    ).to(device)
    cases = {
        "float32": _pass(net, x, torch.float32, channels_last=False, fold=False),
        "float32, channels_last": _pass(net, x, torch.float32, fold=False),
        "float32, channels_last, folded norms": _pass(net, x, torch.float32),
        "bfloat16, channels_last, folded norms": _pass(net, x, torch.bfloat16),
    }
    seconds = in_turns(cases, repeats, device)
    rows = [
        row(
            case,
            seconds["float32"],
            seconds[case],
            dtype=case.partition(",")[0],
            images_per_second=images / sorted(seconds[case])[len(seconds[case]) // 2],
        )
        for case in cases
    ]
    shape = list(net.spec.input_shape)
    return {
        "rows": rows,
        "conditions": conditions(device, n=images, input_shape=shape, repeats=repeats),
    }


def _pass(
    net: Net, x: Tensor, dtype: torch.dtype, *, channels_last: bool = True, fold: bool = True
) -> Callable[[], object]:
    twin = copy.deepcopy(net)
    if fold:
        fold_batch_norms(twin)
    twin.to(dtype)
    images = x.to(dtype)
    if channels_last and net.spec.layout != "fc":
        twin.to(memory_format=torch.channels_last)
        images = images.contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def run() -> object:
        return twin(images)

    return run
