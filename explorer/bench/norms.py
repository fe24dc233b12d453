"""What gradient norms by layer cost beside a step of training.

The plain way is what one writes first: of the weights ``gradient.norm().item()`` layer by layer
after the backward pass, of the units' outputs a full backward hook that does the same. Ours is what
the loop does: one fused call for all weights, hooks on the output tensors alone, and one transfer
to the host (:mod:`explorer.measuring.norms`, :mod:`explorer.measuring.taps`). ``share`` is the cost
as a part of the step without any of it: forward, backward, and an update by SGD with momentum, in
float32 and channels_last. Of the weights it is the time of the norms themselves; of the outputs the
difference between steps with hooks and without, so that it may be below 0 by chance. The images are
noise and the net's weights are fresh: neither changes the arithmetic.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from explorer.bench import conditions, in_turns, row
from explorer.measuring.norms import gradient_norms, layer_weights
from explorer.measuring.taps import tap
from explorer.nets import Net


def bench_norms(
    net: Net, *, images: int, repeats: int, device: str, seed: int = 0
) -> dict[str, Any]:
    """A row for the weights' gradients, one for the units' outputs, and the conditions.

    Args:
        images: In one batch of random images of the net's shape.
    """
    net = net.to(device).train()
    if net.spec.layout != "fc":
        net.to(memory_format=torch.channels_last)
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(images, *net.spec.input_shape, generator=random).to(device)
    labels = torch.randint(net.spec.classes, (images,), generator=random).to(device)
    weights = layer_weights(net, [layer.name for layer in net.blueprint.weight_layers])
    update = torch.optim.SGD(net.parameters(), lr=1e-6, momentum=0.9)

    def step() -> None:
        update.zero_grad(set_to_none=True)
        torch.autograd.backward(F.cross_entropy(net(x), labels))
        update.step()

    def one_by_one() -> list[float]:
        return [weight.grad.norm().item() for weight in weights if weight.grad is not None]

    def at_once() -> list[float]:
        return gradient_norms(weights).tolist()

    def step_with_hooks() -> None:
        with _hooks(net):
            step()

    def step_with_taps() -> None:
        norm = torch.linalg.vector_norm
        with tap(net, net.unit_names, outputs=False, gradients=True, reduce=norm) as taps:
            step()
            torch.stack([taps.gradients[name][0] for name in net.unit_names]).tolist()

    cases: dict[str, Callable[[], object]] = {
        "step": step,
        "one by one": one_by_one,
        "at once": at_once,
        "hooks": step_with_hooks,
        "taps": step_with_taps,
    }
    seconds = in_turns(cases, repeats, device)
    whole = statistics.median(seconds["step"])
    rows = [
        row(
            f"weights of {len(weights)} layers",
            seconds["one by one"],
            seconds["at once"],
            share=statistics.median(seconds["at once"]) / whole,
            plain_share=statistics.median(seconds["one by one"]) / whole,
            step_s=whole,
        ),
        row(
            f"a step with the outputs of {len(net.unit_names)} units",
            seconds["hooks"],
            seconds["taps"],
            share=statistics.median(seconds["taps"]) / whole - 1,
            plain_share=statistics.median(seconds["hooks"]) / whole - 1,
            step_s=whole,
        ),
    ]
    return {
        "rows": rows,
        "conditions": conditions(
            device,
            n=images,
            input_shape=list(net.spec.input_shape),
            repeats=repeats,
            dtype="float32",
        ),
    }


@contextmanager
def _hooks(net: Net) -> Iterator[list[float]]:
    """Full backward hooks on every unit, that read each norm as it comes."""
    norms: list[float] = []

    def read(module: nn.Module, inputs: object, outputs: tuple[Tensor, ...] | Tensor) -> None:
        norms.append(outputs[0].norm().item())

    with ExitStack() as stack:
        for name in net.unit_names:
            stack.callback(net.get_submodule(name).register_full_backward_hook(read).remove)
        yield norms
