"""What instruments share that draw fresh nets from several seeds: how many, and the first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import model_validator

from explorer.errors import SpecError
from explorer.instruments import contract
from explorer.instruments.contract import option

MOST = 100


def seeds(default: int, doors: Sequence[str] = ("shell", "python")) -> Any:
    """The option ``seeds``: how many; ``seed`` is the first of them."""
    words = "number of nets of each, from seeds that follow the first"
    return option(default, "Seeds", words, least=1, most=MOST, doors=doors)


class FromSeeds(contract.Ask):
    """An ``Ask`` with the options ``seeds`` and ``seed``; ``seeds`` was a list of them before."""

    @model_validator(mode="before")
    @classmethod
    def _was_a_list(cls, value: Any) -> Any:
        if not isinstance(value, dict) or not isinstance(value.get("seeds"), (list, tuple, range)):
            return value
        listed = [*value["seeds"]]
        whole = all(isinstance(one, int) and not isinstance(one, bool) for one in listed)
        if not listed or not whole or listed != [listed[0] + i for i in range(len(listed))]:
            raise SpecError(
                "seeds is how many there are, and seed the first of them, such as seeds=3, seed=0: "
                "a list is understood where each is the one before and one more."
            )
        return {**value, "seeds": len(listed), "seed": listed[0]}


def of(ask: Any) -> range:
    """The seeds that are asked for."""
    return range(ask.seed, ask.seed + ask.seeds)
