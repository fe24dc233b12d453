"""Several nets in one command: loaded for the same images, their results in one document."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from explorer.cli.choices import Loaded, load
from explorer.errors import DataError, WeightsError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Several:
    """The results of some nets, as one document and one table."""

    results: Sequence[Any]

    def to_json(self) -> dict[str, Any]:
        return {"nets": [result.to_json() for result in self.results]}

    def to_frame(self) -> pd.DataFrame:
        import pandas as pd

        frames: list[pd.DataFrame] = [result.to_frame() for result in self.results]
        return pd.concat(frames, ignore_index=True)


@dataclass(frozen=True)
class Named(Several):
    """The same with a first column that says which net a row is of."""

    def to_frame(self) -> pd.DataFrame:
        import pandas as pd

        frames: list[pd.DataFrame] = [result.to_frame() for result in self.results]
        for result, frame in zip(self.results, frames, strict=True):
            frame.insert(0, "net", result.net)
        return pd.concat(frames, ignore_index=True)


def load_all(args: argparse.Namespace) -> list[Loaded]:
    """Every net of ``args.nets``, on the same data.

    Raises:
        SkipscopeError: One sentence; also where the nets would see different images.
    """
    refuse_shared_weights(args)
    nets = [load(argparse.Namespace(**{**vars(args), "net": name})) for name in args.nets]
    for net in nets[1:]:
        if net.dataset.spec != nets[0].dataset.spec:
            ours, theirs = nets[0].dataset.info.title, net.dataset.info.title
            raise DataError(
                f"{nets[0].name} goes with {ours} and {net.name} with {theirs}: say with --data "
                "which images all of them are to see."
            )
    return nets


def refuse_shared_weights(args: argparse.Namespace) -> None:
    """Refuse ``--weights`` for more than one net."""
    if args.weights is not None and len(args.nets) > 1:
        raise WeightsError(
            "--weights are of one net: to compare several, give each as a .safetensors file with "
            "its card."
        )
