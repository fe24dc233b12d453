"""``skipscope export``: a net as one PyTorch file, and its weights beside it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from explorer.cli import text
from explorer.cli.choices import choose, data_spec, fitted
from explorer.cli.commands.options import UsageError
from explorer.structure.specs import NetSpec
from explorer.system.files import copy, whole, write_text
from explorer.writing.formats import WEIGHTS_HEAD, weights_suffix


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
    write: Callable[[Path], None] = lambda place: None  # noqa: E731
    if weights is None:
        code = export_code(spec, class_name=args.class_name)
    else:
        write = _checked(spec, weights)
        code = export_code(spec, class_name=args.class_name, weights=beside.name)
    try:
        if weights is not None and weights.resolve() != beside.resolve():
            write(beside)
        write_text(out, code)
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror or error}.") from None
    text.note(f"{out}" + (f" and {beside}" if weights is not None else ""))


def _checked(spec: NetSpec, weights: Path) -> Callable[[Path], None]:
    """What writes the weights for the file that loads them: of ours a copy; of any other
    checkpoint its tensors, under the names that they have there."""
    from safetensors.torch import save_file

    from explorer.nets.weight_files import stored_tensors
    from explorer.nets.weights import is_foreign, net_with_weights

    net = net_with_weights(spec, weights)
    with weights.open("rb") as file:
        ours = weights_suffix(file.read(WEIGHTS_HEAD)) == ".safetensors"
    if ours and not is_foreign(spec, stored_tensors(weights)):
        return lambda place: copy(weights, place)

    def write(place: Path) -> None:
        with whole(place) as partial:
            save_file({k: v.contiguous() for k, v in net.state_dict().items()}, partial)

    return write
