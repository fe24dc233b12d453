"""The control that switches paths of the unravelled view off."""

from __future__ import annotations

from collections.abc import Mapping

from explorer.instruments.unravelled.ask import Ask, chosen_units
from explorer.instruments.unravelled.graph import all_paths, tree
from explorer.pages.instruments.controls import Present, Several


class Paths(Several):
    """Paths of the first net, by their digits, from the top of its tree."""

    def choices(self, present: Present) -> Mapping[str, str]:
        if not present.plans or Ask.not_for(present.plans[0]):
            return {}
        n = len(chosen_units(present.plans[0], "stages"))
        rows = tree(n)
        return {path: path for path in sorted(all_paths(n), key=lambda path: rows[path].row)}


OFF = Paths("off", "Switched off")
