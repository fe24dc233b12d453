"""Look inside a net while it runs: record by module name, leave no trace.

Purpose: every observable of a net is a named module (``stages.0.units.3.residual``); a tap
keeps what flows out of it, or the gradient that flows back into it. Cost: one hook call per
module and pass; a ``reduce`` keeps only a statistic, so that memory does not grow with the net.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from explorer.errors import NotApplicableError

Reduce = Callable[[Tensor], Tensor]


@dataclass
class Taps:
    """What was recorded, by module name, one entry for each forward (or backward) pass.

    Attributes:
        outputs: What the module returned, detached; after ``reduce`` where one was given.
        gradients: ∂L/∂output of the module, likewise; in the order of the backward passes.
    """

    outputs: dict[str, list[Tensor]] = field(default_factory=dict)
    gradients: dict[str, list[Tensor]] = field(default_factory=dict)


@contextmanager
def tap(
    net: nn.Module,
    names: Iterable[str],
    *,
    outputs: bool = True,
    gradients: bool = False,
    reduce: Reduce | None = None,
) -> Iterator[Taps]:
    """Record what the named modules return (and its gradient) until the block ends.

    Hooks are removed on the way out, on exceptions too. Recorded tensors are detached, and
    copied unless reduced, so that a later in-place operation cannot change them.

    Args:
        names: Paths of modules relative to ``net``, such as the names of units.
        reduce: Applied to each tensor before it is kept, such as ``torch.std``.

    Raises:
        NotApplicableError: If a name is not a module of this net; the nearest is suggested.
    """
    every = dict(net.named_modules())
    modules = {name: _find(every, name) for name in names}
    record = Taps()
    handles: list[torch.utils.hooks.RemovableHandle] = []

    def keep(store: dict[str, list[Tensor]], name: str, value: Tensor) -> None:
        value = value.detach()
        store.setdefault(name, []).append(reduce(value) if reduce else value.clone())

    def hook(name: str) -> Callable[[nn.Module, tuple[object, ...], Tensor], None]:
        def after(_module: nn.Module, _inputs: tuple[object, ...], output: Tensor) -> None:
            if outputs:
                keep(record.outputs, name, output)
            if gradients and output.requires_grad:
                # On the tensor, not the module: a full backward hook wraps the module's inputs
                # and outputs, and costs more.
                handles.append(
                    output.register_hook(  # type: ignore[no-untyped-call]
                        lambda grad: keep(record.gradients, name, grad)
                    )
                )

        return after

    try:
        for name, module in modules.items():
            handles.append(module.register_forward_hook(hook(name)))
        yield record
    finally:
        for handle in handles:
            handle.remove()


def wide(values: Tensor) -> Tensor:
    """In double precision, whose squares neither overflow nor vanish, where the device has it."""
    return values if values.device.type == "mps" else values.double()


@contextmanager
def eval_mode(net: nn.Module) -> Iterator[None]:
    """Evaluation mode inside the block; every module's own mode comes back after it.

    Instruments take :func:`explorer.measuring.statistics.measuring`, which also decides what batch
    norms normalise by.
    """
    modes = [(module, module.training) for module in net.modules()]
    try:
        net.eval()
        yield
    finally:
        for module, training in modes:
            module.training = training


def _find(modules: dict[str, nn.Module], name: str) -> nn.Module:
    if name in modules:
        return modules[name]
    near = difflib.get_close_matches(name, list(modules), n=1)
    hint = f"; the nearest is {near[0]!r}" if near else ""
    raise NotApplicableError(f"This net has no module {name!r}{hint}.")
