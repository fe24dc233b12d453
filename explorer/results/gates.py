"""Gates by unit: their mean, their values unit by unit and channel by channel, their spread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from explorer.results.common import Floats, floats
from explorer.results.statistics import Statistics, kept_statistics

if TYPE_CHECKING:
    import pandas as pd

GateKind = Literal["transform", "shortcut"]
Table = tuple[Floats, ...]  # one row a unit; stages may differ in width


@dataclass(frozen=True)
class GateMeans:
    """Gates by unit (SGS15 Fig 2).

    Attributes:
        mean: Mean of the gate over images and entries, in (0, 1), one per gated unit.
        sd: Standard deviation over images and entries.
        bias: Mean of the bias of each unit's gate.
        gate: ``transform``: T(x) of a highway unit. ``shortcut``: g(x) of a gated shortcut (He16
            §3.1). Both are what the shortcut loses: it passes on 1 − T, 1 − g.
        statistics: What batch norms normalised by (:mod:`explorer.results.statistics`).
    """

    net: str
    data: str
    n_images: int
    units: tuple[str, ...]
    mean: Floats
    sd: Floats
    bias: Floats
    gate: GateKind = "transform"
    statistics: Statistics | None = None

    def to_frame(self) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame(
            {"unit": list(self.units), "mean": self.mean, "sd": self.sd, "bias": self.bias}
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "net": self.net,
            "data": self.data,
            "n_images": self.n_images,
            "statistics": self.statistics,
            "gate": self.gate,
            "units": [
                {"name": n, "mean": float(m), "sd": float(s), "bias": float(b)}
                for n, m, s, b in zip(self.units, self.mean, self.sd, self.bias, strict=True)
            ],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> GateMeans:
        rows = value["units"]
        return cls(
            net=value["net"],
            data=value["data"],
            statistics=kept_statistics(value),
            n_images=int(value["n_images"]),
            units=tuple(row["name"] for row in rows),
            mean=floats(row["mean"] for row in rows),
            sd=floats(row["sd"] for row in rows),
            bias=floats(row["bias"] for row in rows),
            gate=value.get("gate", "transform"),
        )


@dataclass(frozen=True)
class GateMaps:
    """Layer × unit tables of gates (SGS15 Fig 2 and 3); in convolutional nets layer × channel.

    A table has one row for each gated unit, in forward order, and one column for each entry of
    its gate; of a convolutional gate each channel's mean over positions.

    Attributes:
        gate: See :class:`GateMeans`.
        images: ``test`` or ``train``: whose mean it is.
        bias_before: As the net was initialised.
        bias: As it is.
        mean: Mean of the gate over the images.
        class_name: Whose mean ``class_difference`` is; None where no class was asked for.
        class_difference: Mean over the images of that class, less ``mean``.
        sample_name: ``test image 3`` or a file's name; None where no sample was asked for.
        sample: The gate for that sample.
        output: The units' outputs for that sample.
        statistics: What batch norms normalised by (:mod:`explorer.results.statistics`).
    """

    net: str
    data: str
    n_images: int
    images: Literal["test", "train"]
    gate: GateKind
    units: tuple[str, ...]
    bias_before: Table
    bias: Table
    mean: Table
    class_name: str | None = None
    class_difference: Table | None = None
    sample_name: str | None = None
    sample: Table | None = None
    output: Table | None = None
    statistics: Statistics | None = None

    def tables(self) -> dict[str, Table]:
        """Those that there are, by name, in the order in which they are drawn."""
        given = {name: getattr(self, name) for name in _TABLES}
        return {name: table for name, table in given.items() if table is not None}

    def to_frame(self) -> pd.DataFrame:
        """One line for each unit and channel."""
        import pandas as pd

        widths = [len(row) for row in self.mean]
        columns: dict[str, Any] = {
            "unit": np.repeat(self.units, widths),
            "channel": np.concatenate([np.arange(width) for width in widths]),
        }
        tables = {name: np.concatenate(table) for name, table in self.tables().items()}
        return pd.DataFrame({**columns, **tables})

    def to_json(self) -> dict[str, Any]:
        return {
            "net": self.net,
            "data": self.data,
            "n_images": self.n_images,
            "statistics": self.statistics,
            "images": self.images,
            "gate": self.gate,
            "class_name": self.class_name,
            "sample_name": self.sample_name,
            "units": [
                {"name": name, **{key: table[i].tolist() for key, table in self.tables().items()}}
                for i, name in enumerate(self.units)
            ],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> GateMaps:
        rows = value["units"]
        tables = {
            name: tuple(floats(row[name]) for row in rows) for name in _TABLES if name in rows[0]
        }
        return cls(
            net=value["net"],
            data=value["data"],
            statistics=kept_statistics(value),
            n_images=int(value["n_images"]),
            images=value["images"],
            gate=value["gate"],
            units=tuple(row["name"] for row in rows),
            class_name=value["class_name"],
            sample_name=value["sample_name"],
            **tables,
        )


_TABLES = ("bias_before", "bias", "mean", "sample", "class_difference", "output")


@dataclass(frozen=True)
class GateDistribution:
    """How the values of each unit's gate are spread over images and entries.

    Attributes:
        gate: See :class:`GateMeans`.
        levels: Shares below the quantiles, ascending, in (0, 1).
        quantiles: (units, levels), to within 0.1 % of their logit's range (see the probe).
        edges: Of the histogram's bins, from 0 to 1.
        share: (units, bins): share of the values in each bin; each row sums to 1.
        statistics: What batch norms normalised by (:mod:`explorer.results.statistics`).
    """

    net: str
    data: str
    n_images: int
    gate: GateKind
    units: tuple[str, ...]
    levels: Floats
    quantiles: Floats
    edges: Floats
    share: Floats
    statistics: Statistics | None = None

    def to_frame(self) -> pd.DataFrame:
        import pandas as pd

        names = [f"q{100 * level:g}" for level in self.levels]
        return pd.DataFrame(
            {"unit": list(self.units), **dict(zip(names, self.quantiles.T, strict=True))}
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "net": self.net,
            "data": self.data,
            "n_images": self.n_images,
            "statistics": self.statistics,
            "gate": self.gate,
            "levels": self.levels.tolist(),
            "edges": self.edges.tolist(),
            "units": [
                {"name": name, "quantiles": quantiles.tolist(), "share": share.tolist()}
                for name, quantiles, share in zip(
                    self.units, self.quantiles, self.share, strict=True
                )
            ],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> GateDistribution:
        rows = value["units"]
        return cls(
            net=value["net"],
            data=value["data"],
            statistics=kept_statistics(value),
            n_images=int(value["n_images"]),
            gate=value["gate"],
            units=tuple(row["name"] for row in rows),
            levels=floats(value["levels"]),
            quantiles=np.stack([floats(row["quantiles"]) for row in rows]),
            edges=floats(value["edges"]),
            share=np.stack([floats(row["share"]) for row in rows]),
        )


@dataclass(frozen=True)
class GateImage:
    """Where on one image the gates of a convolutional net are open.

    Attributes:
        gate: See :class:`GateMeans`.
        image_name: ``test image 3``, or a file's name.
        channel: The channel shown; None shows the mean over all of them.
        units: Gated units, in forward order.
        maps: Of each unit (height, width), in (0, 1); rounded to 4 decimals in JSON.
        statistics: What batch norms normalised by (:mod:`explorer.results.statistics`).
    """

    net: str
    data: str
    gate: GateKind
    image_name: str
    channel: int | None
    units: tuple[str, ...]
    maps: Table
    statistics: Statistics | None = None

    def to_frame(self) -> pd.DataFrame:
        """One line for each unit and position."""
        import pandas as pd

        parts = []
        for name, values in zip(self.units, self.maps, strict=True):
            row, column = np.indices(values.shape)
            cells = {"row": row.ravel(), "column": column.ravel(), "gate": values.ravel()}
            parts.append(pd.DataFrame({"unit": name, **cells}))
        return pd.concat(parts, ignore_index=True)

    def to_json(self) -> dict[str, Any]:
        return {
            "net": self.net,
            "data": self.data,
            "statistics": self.statistics,
            "gate": self.gate,
            "image_name": self.image_name,
            "channel": self.channel,
            "units": [
                {"name": name, "map": np.round(values, 4).tolist()}
                for name, values in zip(self.units, self.maps, strict=True)
            ],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> GateImage:
        rows = value["units"]
        return cls(
            net=value["net"],
            data=value["data"],
            statistics=kept_statistics(value),
            gate=value["gate"],
            image_name=value["image_name"],
            channel=value["channel"],
            units=tuple(row["name"] for row in rows),
            maps=tuple(np.stack([floats(line) for line in row["map"]]) for row in rows),
        )
