"""``skipscope endpoints``: every place in a net by name, and what comes out there for a batch."""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.cli import text
from explorer.cli.choices import load
from explorer.cli.commands.options import UsageError
from explorer.cli.show import chosen
from explorer.structure.end_point_names import end_points_of, program_names
from explorer.structure.graph import shape_text
from explorer.system.files import whole, write_bytes

if TYPE_CHECKING:
    from torch import Tensor

    from explorer.structure.blueprint import Blueprint

IMAGES = 8
FILES = (".safetensors", ".npz")


def run_endpoints(args: argparse.Namespace) -> None:
    """Names and shapes, counted without building the net; with images, also what comes out."""
    out: Path | None = args.out
    if out is not None and out.suffix not in FILES:
        raise UsageError(
            f"End points are written as {' or '.join(FILES)}: give --out such a name, not "
            f"{out.name}."
        )
    if args.n is None and out is None:
        name, plan = chosen(args, args.net)
        _tell(args, {"net": name}, plan, None)
        return
    loaded = load(args)

    from explorer.measuring.end_points import end_points
    from explorer.measuring.select import some_images
    from explorer.measuring.statistics import statistics_of

    images, labels = some_images(loaded.net, loaded.dataset, args.n or IMAGES)
    x = loaded.dataset.normalise(images)
    found = end_points(loaded.net, x, statistics=args.statistics, names="both")
    plan = loaded.net.blueprint
    facts = {
        "net": loaded.name,
        "weights": loaded.weights,
        "data": loaded.dataset.spec.name,
        "n_images": len(labels),
        "statistics": args.statistics,
    }
    _tell(args, facts, plan, found)
    if args.statistics == "running" and statistics_of(loaded.net) == "batch":
        text.note(
            "Its batch norms have seen no batch yet and pass on what they get: --statistics batch "
            "normalises by these images."
        )
    if out is not None:
        aliases = program_names(plan)
        wanted = {
            "own": [name for name in found if name not in aliases],
            "program": [*aliases, "logits", "predictions"],
            "both": list(found),
        }[args.names]
        _write(out, {name: found[name] for name in wanted if name in found}, facts)


def _tell(
    args: argparse.Namespace,
    facts: dict[str, Any],
    plan: Blueprint,
    found: dict[str, Tensor] | None,
) -> None:
    points = end_points_of(plan)
    also = program_names(plan)
    own = {point.name for point in points}
    called = {place: alias for alias, place in also.items() if place in own}
    inner = {alias: place for alias, place in also.items() if place not in own}
    rows: list[dict[str, Any]] = []
    for point in points:
        if found is None or point.name in found:
            rows.append({"name": point.name, "kind": point.kind, "shape": list(point.shape)})
            rows[-1]["program"] = called.get(point.name)
    rows += [
        {"name": place, "kind": "inner", "shape": _shape(plan, place), "program": alias}
        for alias, place in inner.items()
        if found is None or alias in found
    ]
    if found is not None:
        for row in rows:
            values = found[row["name"] if row["name"] in found else row["program"]].double()
            row |= {"mean": float(values.mean()), "sd": float(values.std(correction=0))}
    if args.json:
        text.write_json({**facts, "end_points": rows})
        return
    told = [f"{key} {value}" for key, value in facts.items() if key != "net"]
    text.write(f"{facts['net']}: {len(rows)} end points" + "".join(f", {x}" for x in told) + "\n")
    header = ["name", "what", "one image's shape", *(["mean", "sd"] if found else [])]
    header += ["in the program"] if also else []
    table = []
    for row in rows:
        cells = [row["name"], row["kind"], shape_text(tuple(row["shape"]))]
        cells += [f"{row['mean']:.3g}", f"{row['sd']:.3g}"] if found else []
        table.append([*cells, *([row["program"] or ""] if also else [])])
    text.write(text.table(header, table, "   rr" if found else ""))
    if found is None:
        text.note("--n 8 tells what comes out there for so many images; --out FILE writes it.")


def _shape(plan: Blueprint, place: str) -> list[int]:
    """Of a place inside a unit that is no layer with weights: an activation, a branch."""
    inside = [x for x in plan.layers if x.name == place or x.name.startswith(f"{place}.")]
    return list(inside[-1].output_shape)


def _write(out: Path, values: dict[str, Tensor], facts: dict[str, Any]) -> None:
    ready = {name: value.detach().cpu().contiguous() for name, value in values.items()}
    try:
        if out.suffix == ".npz":
            import numpy as np

            arrays: dict[str, Any] = {name: value.numpy() for name, value in ready.items()}
            content = io.BytesIO()
            np.savez(content, **arrays)
            write_bytes(out, content.getbuffer())
        else:
            from safetensors.torch import save_file

            apart = {name: value.clone() for name, value in ready.items()}  # none shares
            with whole(out) as partial:
                save_file(apart, partial, {key: str(value) for key, value in facts.items()})
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror or error}.") from None
    size = sum(value.numel() * value.element_size() for value in ready.values())
    text.note(f"Wrote {out}: {len(ready)} end points, {size / 1e6:.3g} MB.")
