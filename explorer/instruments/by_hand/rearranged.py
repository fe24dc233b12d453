"""Blocks deleted and moved by hand: what a person did to each net, short enough for a link."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from explorer.errors import SpecError
from explorer.structure.blueprint import Blueprint
from explorer.structure.graph import why_not_deletable
from explorer.structure.specs import MAX_LANES

_PART = re.compile(r"-(\d{1,5})|(\d{1,5})_(\d{1,5})")


@dataclass(frozen=True)
class Rearranged:
    """One net's blocks, by number from 0.

    Attributes:
        deleted: Blocks that are gone, wherever they stand.
        moved: By place, the block that stands there, where it is another than that place's own.
    """

    deleted: frozenset[int] = frozenset()
    moved: Mapping[int, int] = field(default_factory=dict)

    def order(self, n: int) -> list[int]:
        """The block at each of ``n`` places."""
        return [self.moved.get(place, place) for place in range(n)]

    def check(self, plan: Blueprint) -> None:
        """Raises :class:`SpecError`, one sentence, where this cannot be done to a net."""
        n = len(plan.units)
        order = self.order(n)
        used = (*self.deleted, *self.moved, *self.moved.values())
        if any(block >= n for block in used) or sorted(order) != list(range(n)):
            raise SpecError(
                f"What is rearranged does not fit: this net has {n} blocks, counted from 0, "
                "each with one place."
            )
        for block in self.deleted:
            if not plan.units[block].deletable:
                raise SpecError(f"Block {block + 1} stays: {why_not_deletable(plan.units[block])}")
        for place, block in self.moved.items():
            group = plan.units[place].swap_group
            if group is None or plan.units[block].swap_group != group:
                raise SpecError(
                    f"Block {block + 1} cannot stand in place {place + 1}: only blocks that map "
                    "the same shape to the same shape change places."
                )

    def program(self, plan: Blueprint) -> list[str]:
        """Names of the blocks in the order they act."""
        order = self.order(len(plan.units))
        return [plan.units[block].name for block in order if block not in self.deleted]

    # ------------------------------------------------------------------------------- changes

    def toggled(self, block: int) -> Rearranged:
        return replace(self, deleted=self.deleted ^ {block})

    def swapped(self, one: int, other: int) -> Rearranged:
        """What stands at two places changes places."""
        moved = {**self.moved}
        moved[one], moved[other] = moved.get(other, other), moved.get(one, one)
        return replace(self, moved={place: b for place, b in moved.items() if place != b})

    def fewer(self, plan: Blueprint, k: int, draw: random.Random) -> Rearranged:
        """``k`` more blocks deleted at random, or all that are left."""
        left = [i for i, unit in enumerate(plan.units) if unit.deletable and i not in self.deleted]
        gone = draw.sample(left, min(k, len(left)))
        return replace(self, deleted=self.deleted | set(gone))

    def shuffled(self, plan: Blueprint, k: int, draw: random.Random) -> Rearranged:
        """``k`` random pairs of places of one shape swapped, one after another."""
        groups: dict[str, list[int]] = {}
        for place, unit in enumerate(plan.units):
            if unit.swap_group is not None:
                groups.setdefault(unit.swap_group, []).append(place)
        pairs = [(a, b) for places in groups.values() for a in places for b in places if a < b]
        now = self
        for one, other in (draw.choice(pairs) for _ in range(k if pairs else 0)):
            now = now.swapped(one, other)
        return now

    # ---------------------------------------------------------------------------------- link

    def write(self) -> str:
        """``-3.-12.5_9.9_5``: blocks 3 and 12 deleted, 5 and 9 swapped (place_block)."""
        gone = [f"-{block}" for block in sorted(self.deleted)]
        return ".".join([*gone, *(f"{place}_{b}" for place, b in sorted(self.moved.items()))])

    @classmethod
    def read(cls, text: str) -> Rearranged:
        """Raises :class:`SpecError`."""
        deleted: set[int] = set()
        moved: dict[int, int] = {}
        for part in filter(None, text.split(".")):
            found = _PART.fullmatch(part)
            if found is None:
                raise SpecError(
                    f"{part[:40]!r} should read -BLOCK (deleted) or PLACE_BLOCK, such as -3 or 5_9."
                )
            if found[1]:
                deleted.add(int(found[1]))
            else:
                moved[int(found[2])] = int(found[3])
        return cls(frozenset(deleted), {p: b for p, b in moved.items() if p != b})


def read_hands(text: str) -> dict[int, Rearranged]:
    """What was done to each net, by its place from 0: ``0:-3.-12|1:5_9.9_5``.

    Raises:
        SpecError: One sentence: what cannot be read.
    """
    nets: dict[int, Rearranged] = {}
    for part in filter(None, text.split("|")):
        net, colon, done = part.partition(":")
        if not colon or not net.isdecimal() or int(net) >= MAX_LANES:
            raise SpecError(f"{part[:40]!r} should read NET:BLOCKS, such as 0:-3.-12.")
        nets[int(net)] = Rearranged.read(done)
    return nets


def write_hands(done: Mapping[int, Rearranged]) -> str:
    """The text that :func:`read_hands` reads."""
    return "|".join(f"{net}:{one.write()}" for net, one in sorted(done.items()) if one.write())


def numbers(blocks: Sequence[int]) -> str:
    """ "3, 12 and 15" of blocks counted from 0, as the axes count them."""
    words = [str(block + 1) for block in blocks]
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + f" and {words[-1]}"
