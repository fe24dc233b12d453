"""``skipscope bench``: measured speed, with its conditions."""

from __future__ import annotations

import argparse
from typing import Any

from explorer.cli import text
from explorer.cli.choices import choose
from explorer.structure.library_nets import check_name, is_external
from explorer.structure.specs import NetSpec, fit

PAPERS = "papers"  # --net of training: those of its own list


def run_bench(args: argparse.Namespace) -> None:
    """Measure and print one table."""
    if args.what in ("app", "crowd"):
        result = _server(args)
    elif args.what == "training" and (args.net == PAPERS or "," in args.net):
        result = _several(args)
    else:
        result = _net(args)
    conditions = result["conditions"]
    if args.json:
        # A row that is kept or compared alone has its conditions with it.
        whole = [{**conditions, **row} for row in result["rows"]]
        text.write_json({**result, "rows": whole})
        return
    words = [f"{key} {_plain(value)}" for key, value in conditions.items()]
    text.write(f"bench {args.what}: {', '.join(words)}\n")
    names = list(dict.fromkeys(key for row in result["rows"] for key in row))
    rows = [[_plain(row.get(name, "")) for name in names] for row in result["rows"]]
    text.write(text.table(names, rows, " " + "r" * (len(names) - 1)))
    if args.what not in ("app", "crowd"):
        text.write("\nratio: median seconds of the plain way ÷ ours, measured in turns.")


def _net(args: argparse.Namespace) -> dict[str, Any]:
    spec: NetSpec | None = None  # another library's net has none
    if is_external(args.net) and args.what != "training":
        name = check_name(args.net)
    else:
        choice = choose(args.net)
        name, spec = choice.name, choice.spec
        if args.size is not None and not choice.weights:
            spec = fit(spec, (spec.input_shape[0], args.size, args.size), spec.classes)

    import torch

    from explorer.nets import create_net
    from explorer.training.devices import resolve

    if args.threads is not None:
        torch.set_num_threads(args.threads)
    device = str(resolve(args.device))
    if args.what == "training" and spec is not None:
        from explorer.bench.training import bench_training

        result = bench_training(
            spec, steps=args.steps, batch=args.images, repeats=args.repeats, device=device
        )
    else:
        from explorer.bench.forward import bench_forward
        from explorer.bench.lesions import bench_lesions
        from explorer.bench.norms import bench_norms
        from explorer.bench.paths import bench_paths

        if spec is not None:
            net = create_net(spec, seed=0)
        else:
            shape = None if args.size is None else (3, args.size, args.size)
            net = create_net(name, input_shape=shape, seed=0)
        given = {"images": args.images, "repeats": args.repeats, "device": device}
        if args.what == "lesions":
            result = bench_lesions(net, **given)
        elif args.what == "paths":
            result = bench_paths(net, **given)
        elif args.what == "norms":
            result = bench_norms(net, **given)
        else:
            note = None if args.json else text.note
            result = bench_forward(net, **given, burn_in=args.burn_in, note=note)
    return {"bench": args.what, "net": name, **result}


def _several(args: argparse.Namespace) -> dict[str, Any]:
    """Training of the papers' nets, or of fully connected lanes together."""
    lanes = [] if args.net == PAPERS else [choose(name).spec for name in args.net.split(",")]
    if args.size is not None:
        lanes = [fit(x, (x.input_shape[0], args.size, args.size), x.classes) for x in lanes]

    import torch

    from explorer.bench.training import bench_lanes, suite
    from explorer.training.devices import resolve

    if args.threads is not None:
        torch.set_num_threads(args.threads)
    device = str(resolve(args.device))
    if lanes:
        result = bench_lanes(
            lanes, steps=args.steps, batch=args.images, repeats=args.repeats, device=device
        )
    else:
        note = None if args.json else text.note
        result = suite(
            steps=args.steps, batch=args.images, repeats=args.repeats, device=device, note=note
        )
    return {"bench": args.what, "net": args.net, **result}


def _server(args: argparse.Namespace) -> dict[str, Any]:
    progress = None if args.json else text.note
    if args.what == "crowd":
        from explorer.bench.crowd import bench_crowd

        return {"bench": "crowd", **bench_crowd(progress=progress)}
    from explorer.bench.app import bench_app

    return {"bench": "app", **bench_app(progress=progress)}


def _plain(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return " ".join(f"{key} {inner}" for key, inner in value.items())
    if isinstance(value, list):
        return "×".join(map(str, value))
    return str(value)
