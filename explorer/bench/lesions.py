"""All single deletions of a net: the program engine against one full forward pass for each.

The plain way is what one writes first: for every deletion, the whole net unit by unit in
float32 with that unit passed by. Ours shares prefixes, lets the lesioned states ride on the
batch axis, folds batch norms, and computes in channels_last; in float32 for numbers that are
kept, in bfloat16 for a quick look. The weights are fresh and the images noise: neither changes
the arithmetic. ``agreement`` is the share of answers that are the plain way's.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from explorer.bench import conditions, in_turns, row
from explorer.nets import Net
from explorer.probes.programs import Engine, Precision, Step, compile_program, without


def bench_lesions(
    net: Net, *, images: int, repeats: int, device: str, seed: int = 0
) -> dict[str, Any]:
    """Rows for float32 and bfloat16, and the conditions.

    Args:
        images: In one batch of random images of the net's shape.
    """
    net = net.to(device).eval()
    _settle(net)
    plan = net.blueprint
    x = torch.randn(
        images, *net.spec.input_shape, generator=torch.Generator().manual_seed(seed)
    ).to(device)
    gone = [unit.name for unit in plan.units if unit.deletable]
    asked = [compile_program(plan, without(plan, [unit])) for unit in gone]
    answers: dict[str, Tensor] = {}

    def plain() -> None:
        answers["plain"] = torch.stack([_unit_by_unit(net, x, steps) for steps in asked])

    def ours(precision: Precision) -> None:
        engine = Engine(net, precision=precision)
        chunk = engine.images_at_once(asked)
        parts = [engine.logits(part, asked) for part in torch.split(x, chunk)]
        answers[precision] = torch.cat(parts, dim=1)

    seconds = in_turns(
        {
            "plain": plain,
            "float32": lambda: ours("float32"),
            "bfloat16": lambda: ours("bfloat16"),
        },
        repeats,
        device,
    )
    wanted = answers["plain"].argmax(-1)
    rows = [
        row(
            f"{len(asked)} single deletions, {precision}",
            seconds["plain"],
            seconds[precision],
            dtype=precision,
            agreement=(answers[precision].argmax(-1) == wanted).double().mean().item(),
        )
        for precision in ("float32", "bfloat16")
    ]
    shape = list(net.spec.input_shape)
    return {
        "rows": rows,
        "conditions": conditions(device, n=images, input_shape=shape, repeats=repeats),
    }


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
