"""Lesions on the program engine against one full forward pass for each.

All single deletions, and 1 … 20 units deleted at random in 10 nested draws (Veit16 Fig 5a). The
plain way is what one writes first: for every program, the whole net unit by unit in float32, with
the deleted units passed by. Ours shares prefixes, lets the lesioned states ride on the batch axis,
folds batch norms, and computes in channels_last; in float32 for numbers that are kept, and in
bfloat16 for a quick look, where that type pays. The weights are fresh and the images noise:
neither changes the arithmetic. ``agreement`` is the share of answers that are the plain way's. Of
the random deletions the plain way is timed on one draw for each k (``plain_timed`` programs) and
scaled to all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from explorer.bench import conditions, in_turns, precisions, row
from explorer.data.order import permutation
from explorer.instruments.lesion_measure import deletable_units
from explorer.instruments.random_lesions.ask import Ask
from explorer.measuring.engine import Engine, Precision, Step
from explorer.measuring.programs import compile_program, without
from explorer.nets import Net

DRAWS = 10


def bench_lesions(
    net: Net, *, images: int, repeats: int, device: str, seed: int = 0
) -> dict[str, Any]:
    """Rows for both kinds, and the conditions.

    Args:
        images: In one batch of random images of the net's shape.
    """
    net = net.to(device).eval()
    _settle(net)
    plan = net.blueprint
    x = torch.randn(
        images, *net.spec.input_shape, generator=torch.Generator().manual_seed(seed)
    ).to(device)
    units = deletable_units(plan)
    most = min(Ask().k, len(units))
    orders = [[units[i] for i in permutation(len(units), seed, draw)] for draw in range(DRAWS)]
    each = [compile_program(plan, without(plan, [unit])) for unit in units]
    nested = [
        compile_program(plan, without(plan, order[:k]))
        for order in orders
        for k in range(1, most + 1)
    ]
    timed = [(k % DRAWS) * most + k for k in range(most)]  # each k once, each draw in its turn
    rows = [
        *_compared(
            net, x, f"{len(each)} single deletions", each, list(range(len(each))), repeats, device
        ),
        *_compared(
            net, x, f"k = 1…{most} × {DRAWS} nested deletions", nested, timed, repeats, device
        ),
    ]
    shape = list(net.spec.input_shape)
    return {
        "rows": rows,
        "conditions": conditions(device, n=images, input_shape=shape, repeats=repeats),
    }


def _compared(
    net: Net,
    x: Tensor,
    case: str,
    asked: Sequence[tuple[Step, ...]],
    timed: Sequence[int],
    repeats: int,
    device: str,
) -> list[dict[str, Any]]:
    """Rows of one kind; the plain way runs the programs at the positions ``timed``."""
    answers: dict[str, Tensor] = {}

    def plain() -> None:
        answers["plain"] = torch.stack([_unit_by_unit(net, x, asked[i]) for i in timed])

    def ours(precision: Precision) -> None:
        engine = Engine(net, precision=precision)
        chunk = max(1, engine.images_at_once(asked))
        parts = [engine.logits(part, asked) for part in torch.split(x, chunk)]
        answers[precision] = torch.cat(parts, dim=1)

    kinds = precisions(device)
    works: dict[str, Callable[[], object]] = {"plain": plain}
    works |= {precision: partial(ours, precision) for precision in kinds}
    seconds = in_turns(works, repeats, device)
    wanted = answers["plain"].argmax(-1)
    whole = [s * len(asked) / len(timed) for s in seconds["plain"]]
    return [
        row(
            f"{case}, {precision}",
            whole,
            seconds[precision],
            dtype=precision,
            programs=len(asked),
            plain_timed=len(timed),
            agreement=(answers[precision][list(timed)].argmax(-1) == wanted).double().mean().item(),
        )
        for precision in kinds
    ]


@torch.inference_mode()
def _unit_by_unit(net: Net, x: Tensor, steps: tuple[Step, ...]) -> Tensor:
    x = net.stem(x)
    for step in steps:
        module = net.units[step.unit]
        x = module.bypass(x) if step.bypass else module(x)  # type: ignore[operator]
    logits: Tensor = net.head(x)
    return logits


@torch.no_grad()
def _settle(net: Net) -> None:
    """Scales of fresh residual branches such that the net's answers stay of ordinary size.

    A fresh deep net in evaluation mode doubles its activations with every unit, and no two ways
    of computing agree on numbers of 10^16.
    """
    for unit in net.units:
        for layer in (module for module in unit.modules() if isinstance(module, torch.nn.Conv2d)):
            layer.weight.mul_(0.5)
