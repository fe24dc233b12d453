"""``skipscope export``: a net as one PyTorch file, and its weights beside it."""

from __future__ import annotations

import argparse
from pathlib import Path

from explorer.cli import text
from explorer.cli.choices import choose, data_spec, fitted
from explorer.cli.commands.options import UsageError
from explorer.files import copy, write_text
from explorer.specs import NetSpec


def run_export(args: argparse.Namespace) -> None:
    """Print the file, or write it; weights are checked and copied to lie beside it."""
    choice = choose(args.net)
    spec = choice.spec if args.data is None else fitted(choice, data_spec(args))
    weights: Path | None = args.weights or choice.weights
    out: Path | None = args.out
    if out is None and args.weights is not None:
        raise UsageError("Weights are laid beside a file: say which with --out FILE.py.")
    if out is not None and out.suffix != ".py":
        raise UsageError(f"The code is Python: give --out a name that ends in .py, not {out.name}.")

    from explorer.nets.export import export_code

    if out is None:
        text.write(export_code(spec, class_name=args.class_name).removesuffix("\n"))
        return
    beside = out.with_suffix(".safetensors")
    if weights is None:
        code = export_code(spec, class_name=args.class_name)
    else:
        _check(spec, weights)
        code = export_code(spec, class_name=args.class_name, weights=beside.name)
    try:
        if weights is not None and weights.resolve() != beside.resolve():
            copy(weights, beside)
        write_text(out, code)
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror or error}.") from None
    text.note(f"{out}" + (f" and {beside}" if weights is not None else ""))


def _check(spec: NetSpec, weights: Path) -> None:
    from explorer.nets.weights import net_with_weights

    net_with_weights(spec, weights)
