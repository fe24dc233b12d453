"""A copy of a net for looking inside: both ways through each unit are modules, units can be gone.

Attribution takes gradients at modules, and so needs one module for each thing it looks at, none
of them called twice or working in place. What comes by ``shortcut`` and what comes by ``branch``
are all that flows on from a unit: together a *full cut* through the net.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from explorer.measuring.programs import compile_program, unit_index, without
from explorer.measuring.walk import branches, join
from explorer.nets import Net, Unit
from explorer.nets.fast import copied


class Way(nn.Module):
    """Gives on what it gets, as a node of its own in the graph of gradients.

    An identity shortcut is the branch's input too: a gradient at that would count the branch.
    """

    def forward(self, x: Tensor) -> Tensor:
        return x.view_as(x)


class OpenedUnit(nn.Module):
    """A unit that computes what it did, or, deleted, what its ``bypass`` gives.

    Attributes:
        branch: Gives on what the unit's own layers add: F(x) of a residual unit, H(x)·T(x) of a
            highway unit, the new maps of a dense unit; all of it where there is one way alone.
        shortcut: Gives on what passes by: h(x), x·(1 − T(x)), the earlier maps. A deleted unit
            has this alone.
    """

    def __init__(self, unit: nn.Module, *, deleted: bool) -> None:
        super().__init__()
        self.unit = unit
        self.deleted = deleted
        self.branch = Way()
        self.shortcut = Way()

    def forward(self, x: Tensor) -> Tensor:
        if self.deleted:
            return cast(Tensor, self.shortcut(cast(Unit, self.unit).bypass(x)))
        ways = branches(self.unit, x)
        if ways is None:
            return cast(Tensor, self.branch(self.unit(x)))
        return join(self.unit, self.shortcut(ways.shortcut), self.branch(ways.branch))


class OpenedNet(nn.Module):
    """(N, C, H, W), normalised → logits (N, classes); in evaluation mode, weights held fixed.

    Batch norms keep the statistics that the net has: make it inside of
    :func:`explorer.measuring.statistics.measuring`.

    Args:
        deleted: Names or positions of units to leave out.

    Attributes:
        units: In forward order, the deleted ones too.
        deleted: Names of the units left out, in forward order.

    Raises:
        NotApplicableError: A unit that is unknown or cannot be deleted.
    """

    def __init__(self, net: Net, deleted: Sequence[str | int] = ()) -> None:
        super().__init__()
        plan = net.blueprint
        compile_program(plan, without(plan, deleted))  # says why it is not possible
        gone = {unit_index(plan, unit) for unit in deleted}
        twin = copied(net)
        for module in twin.modules():
            if getattr(module, "inplace", False):  # would overwrite what a gradient needs
                setattr(module, "inplace", False)  # noqa: B010 — mypy cannot know which have it
        self.stem = twin.stem
        opened = [OpenedUnit(unit, deleted=i in gone) for i, unit in enumerate(twin.units)]
        self.units = nn.ModuleList(opened)
        self.head = twin.head
        self.deleted = tuple(unit.name for i, unit in enumerate(plan.units) if i in gone)
        self.eval().requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for unit in self.units:
            x = unit(x)
        return cast(Tensor, self.head(x))

    def unit(self, index: int) -> OpenedUnit:
        return cast(OpenedUnit, self.units[index])
