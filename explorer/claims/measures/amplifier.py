"""The worked example, and what a gradient step makes of it."""

from __future__ import annotations

import torch

from explorer.claims.measures.nets import images, shipped_names, trained
from explorer.instruments.amplifier.result import WorkedExample
from explorer.measuring import walk
from explorer.measuring.select import some_images
from explorer.measuring.taps import eval_mode
from explorer.nets.residual import ResidualUnit


def changes(x: float, before: float, after: float) -> tuple[float, float]:
    """By which share of itself the plain map's output changes, and the residual's."""
    example = WorkedExample(x=x, before=before, after=after)
    return example.plain_change, example.residual_change


def gradient_ratio(family: str, n: int = 64) -> list[float]:
    """‖∂L/∂F‖ ÷ ‖∂L/∂H‖ of H = h(x) + F(x): the least and the greatest of each net's blocks."""
    found = []
    for name in shipped_names(family):
        net = trained(name)
        pictures, labels = some_images(net, images(), n, train=True)
        ratios = []
        with eval_mode(net):
            states = walk.states(net, images().normalise(pictures))
            for place, unit in enumerate(net.units):
                if not isinstance(unit, ResidualUnit):
                    continue
                with torch.enable_grad():
                    ways = walk.branches(unit, states[place])
                    assert ways is not None
                    residual = ways.branch.detach().requires_grad_()
                    whole = ways.shortcut.detach() + residual
                    y = whole
                    for later in net.units[place + 1 :]:
                        y = later(y)
                    loss = torch.nn.functional.cross_entropy(net.head(y), labels)
                    by_residual, by_whole = torch.autograd.grad(loss, (residual, whole))
                ratios.append(float(by_residual.norm() / by_whole.norm()))
        found += [min(ratios), max(ratios)]
    return found
