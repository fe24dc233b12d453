"""``skipscope import``: a checkpoint of anyone's as weights of ours, with a card that says why."""

from __future__ import annotations

import argparse
import shlex
import tempfile
import time
from pathlib import Path
from typing import Any

from explorer.cli import choices, text
from explorer.cli.commands.options import UsageError
from explorer.structure import names, trained_on
from explorer.structure.cards import AnyCard, card_path
from explorer.structure.specs import DataSpec


def run_import(args: argparse.Namespace) -> None:
    """Write safetensors under our names, and the card; with images, measure them first."""
    if args.names is None:
        _import(args, args.file)
        return
    if args.net is None:
        raise UsageError("--names gives a net's own names: say which net it is with --as.")
    from explorer.nets.name_table import read_table, renamed_file

    with tempfile.TemporaryDirectory() as folder:
        _import(args, renamed_file(args.file, read_table(args.names), Path(folder)))


def _import(args: argparse.Namespace, tensors: Path) -> None:
    """
    Args:
        tensors: The file, or its tensors under other names.
    """
    file: Path = args.file
    out: Path = args.out or Path(f"{file.name.partition('.')[0]}.safetensors")
    if out.suffix != ".safetensors":
        raise UsageError(f"Weights are written as .safetensors: give --out such a name, not {out}.")
    taken = [one for one in (out, card_path(out)) if one.exists()]
    if taken:
        raise UsageError(f"{taken[0]} is there already: give another name with --out.")
    spec = None if args.net is None else choices.choose(args.net).spec
    data = None if args.data is None else choices.data_spec(args)

    from explorer.measuring.recognise import candidates, recognise
    from explorer.nets.weight_files import stored_tensors
    from explorer.nets.weights import fitted_to, save_weights
    from explorer.nets.weights import trained_on as known_of
    from explorer.system.versions import versions

    said = args.net is not None and "shortcut_pad" in args.net
    specs = [spec] if spec is not None and said else candidates(tensors, spec)
    specs = [fitted_to(one, tensors) for one in specs]
    for sentence in stored_tensors(file).notes:
        text.note(sentence)
    given = trained_on.told(args.mean or (), args.std or (), args.classes or ())
    known = (known_of(file) or trained_on.TrainedOn()).with_given(given)
    known.check(specs[0].input_shape[0], specs[0].classes, "--mean and --std", "--classes")
    dataset = None if data is None else _loaded(data)
    net, words = recognise(tensors, specs, dataset, given=known or None)
    if words:
        text.note(words)
    measured: dict[str, Any] = {}
    if dataset is not None:
        import explorer

        with text.progress("accuracy") as bar:
            found = explorer.accuracy(
                net, dataset, on_progress=lambda _, share: bar(share, "images")
            )
        measured = {"data": data, "accuracy": found.accuracy, "n_images": found.n_images}
    card = AnyCard(
        name=names.token_of(net.spec),
        spec=net.spec,
        mean=known.mean,
        std=known.std,
        classes=known.classes,
        versions=versions(),
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        origin=args.origin or "",
        licence=args.licence or "",
        command=f"skipscope import {shlex.quote(file.name)}"
        + (f" --as {shlex.quote(args.net)}" if args.net else "")
        + (f" --names {shlex.quote(args.names.name)}" if args.names else ""),
        **measured,
    )
    save_weights(net, out, card)
    if args.json:
        text.write_json({"weights": str(out), **card.model_dump(mode="json")})
        return
    lines = [f"{out} and {card_path(out)}: {card.name}, {net.blueprint.parameters:,} parameters."]
    lines.append(
        f"Images are {known.normalisation}."
        if known.mean
        else "By what images are normalised is not known: give --mean and --std, else the images' "
        "own are taken."
    )
    if dataset is not None:
        lines.append(
            f"{text.percent(found.accuracy)} of {found.n_images:,} test images of {found.data} "
            f"right (95 % interval {text.percent(found.low_95)} to {text.percent(found.high_95)})."
        )
    text.write("\n".join(lines))


def _loaded(data: DataSpec) -> Any:
    from explorer.data.load import load_data

    with text.progress("data") as bar:
        return load_data(data, lambda what, share: bar(share, what))
