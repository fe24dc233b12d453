"""``skipscope surface``: the loss around the weights, from coarse to fine, kept and continued."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from explorer.bounded import small_text
from explorer.cli import text
from explorer.cli.choices import Loaded
from explorer.cli.outputs import deliver
from explorer.cli.several import Named, load_all
from explorer.errors import NotApplicableError, SkipscopeError, SpecError
from explorer.files import write_text
from explorer.results import LossSurface

if TYPE_CHECKING:
    import plotly.graph_objects as go

SHOWN = 9  # points a side of the terminal's grid


def run_surface(args: argparse.Namespace) -> None:
    """Loss on a plane, or a line, of filter-normalised random directions."""
    if args.line and args.view not in (None, "line"):
        raise SpecError(f"A line has no {args.view} view: leave --line or --view out.")
    kept = Kept(args.keep)
    results = [_surface(args, net, kept) for net in load_all(args)]

    def figure() -> go.Figure:
        from explorer.charts import contour_figure, loss_line_figure, surface_figure

        lanes = [(i, result.net, result) for i, result in enumerate(results)]
        if args.line or args.view == "line":
            return loss_line_figure(lanes, cap=args.cap)
        draw = surface_figure if args.view == "surface" else contour_figure
        return draw(lanes, cap=args.cap)

    first = results[0]
    title = f"Loss around the weights, {first.data}, {first.n_images} training images"
    if deliver(args, Named(results), figure, title=title):
        return
    for result in results:
        _print(result)


def _surface(args: argparse.Namespace, net: Loaded, kept: Kept) -> LossSurface:
    from explorer.probes.surface import loss_surface

    with text.progress(net.name) as bar:

        def tell(part: LossSurface, share: float) -> None:
            kept.keep(part)
            bar(share, f"{int(part.done.sum())} points")

        result = loss_surface(
            net.net,
            net.dataset,
            resolution=args.resolution,
            span=args.span,
            line=args.line,
            n_images=args.n,
            seed=args.direction,
            norm=args.norm,
            known=kept.known(net.name),
            name=net.name,
            on_progress=tell,
        )
    kept.keep(result)
    return result


LARGEST = 256 << 20  # bytes of a file of --keep


class Kept:
    """The file of ``--keep``: the surfaces so far, by net; nothing where it was not asked for.

    Raises:
        SkipscopeError: It is there and is no such file.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._surfaces: dict[str, LossSurface] = {}
        if path is None or not path.exists():
            return
        try:
            stored = json.loads(small_text(path, LARGEST))
            for value in stored["surfaces"]:
                surface = LossSurface.from_json(value)
                self._surfaces[surface.net] = surface
        except OSError as error:
            raise SkipscopeError(
                f"{str(path)!r} cannot be read: {error.strerror or error}."
            ) from None
        except (ValueError, KeyError, TypeError, NotApplicableError):
            raise NotApplicableError(
                f"{path.name} does not hold loss surfaces that could be continued: give a file "
                "that `skipscope surface --keep` wrote, or a new name."
            ) from None

    def known(self, name: str) -> LossSurface | None:
        return self._surfaces.get(name)

    def keep(self, surface: LossSurface) -> None:
        """Writes at once, and whole: a stop leaves the old file or the new one."""
        if self._path is None:
            return
        self._surfaces[surface.net] = surface
        document = {"surfaces": [one.to_json() for one in self._surfaces.values()]}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_text(self._path, json.dumps(document))
        except OSError as error:
            raise SkipscopeError(
                f"{str(self._path)!r} cannot be written: {error.strerror or error}."
            ) from None


def _print(surface: LossSurface) -> None:
    norm = text.norms(surface, step=surface.norm == "batch")
    anew = ", at each point anew" if norm and surface.norm == "batch" else ""
    text.write(f"{surface.net}: loss around its weights, {surface.centre:.3g} at the centre")
    text.write(
        f"Mean cross-entropy on {surface.n_images} training images of {surface.data}"
        f"{norm}{anew}; directions of seed {surface.seed}.\n"
    )
    columns, rows = _few(len(surface.alphas)), _few(len(surface.betas))
    header = ["β \\ α" if len(rows) > 1 else "α", *(f"{a:.2g}" for a in surface.alphas[columns])]
    body = [
        [
            f"{surface.betas[row]:.2g}" if len(rows) > 1 else "loss",
            *(_loss(surface.loss[row, column]) for column in columns),
        ]
        for row in reversed(rows)
    ]
    text.write(text.table(header, body, "r" * len(header)))
    if len(rows) > 1:
        text.write(_rings(surface))
    text.write("")


def _few(n: int) -> list[int]:
    """At most ``SHOWN`` positions, the ends and the middle among them."""
    return sorted({round(i) for i in np.linspace(0, n - 1, min(n, SHOWN))})


def _loss(value: float) -> str:
    if not np.isfinite(value):
        return "∞"
    return f"{value:.3g}" if value < 1000 else f"{value:.0e}".replace("e+0", "e").replace("e+", "e")


def _rings(surface: LossSurface) -> str:
    """The median loss at some distances from the weights."""
    distance = np.hypot(surface.betas[:, None], surface.alphas[None, :])
    reach = float(surface.alphas[-1])
    words = []
    for share in (0.25, 0.5, 1.0):
        ring = np.abs(distance - share * reach) <= reach / max(8, len(surface.alphas) - 1)
        if ring.any():
            words.append(f"{_loss(float(np.median(surface.loss[ring])))} at {share * reach:g}")
    return f"\nMedian loss by distance from the weights: {', '.join(words)}."
