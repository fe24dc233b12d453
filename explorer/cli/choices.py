"""From what was typed to a net, its weights and its data. Only loading imports torch."""

from __future__ import annotations

import argparse
import difflib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer import names, shipped
from explorer.bounded import local_path, plain_json, small_text
from explorer.data.catalog import data_info
from explorer.errors import DataError, SpecError, WeightsError
from explorer.external import is_external
from explorer.graph import shape_text
from explorer.specs import DATASETS, DataSpec, NetSpec, fit, parse, parse_net

if TYPE_CHECKING:
    from explorer.data.dataset import Dataset
    from explorer.nets import Net


@dataclass(frozen=True)
class Choice:
    """A net as a person named it.

    Attributes:
        name: As typed; the token of a spec file's net.
        card: Of the trained weights that go with the name, if any.
        weights: Their file.
    """

    name: str
    spec: NetSpec
    card: shipped.Card | None = None
    weights: Path | None = None


def choose(name: str) -> Choice:
    """A net by name, token, shipped name, spec file (.json) or weights file (.safetensors).

    Raises:
        SkipscopeError: One sentence with the nearest name, or what is wrong with the file.
    """
    name = name.strip()
    if is_external(name):
        raise SpecError(
            f"{name} is another library's net: its library builds it, so that it has no spec to "
            "train or write code from; it can be shown, measured and timed, and here a net of "
            "`skipscope list` is needed."
        )
    if name.endswith(".safetensors"):
        file = local_path(name, WeightsError)
        card = shipped.read_card(file)
        return Choice(card.name, card.spec, card, file)
    if name.endswith(".json"):
        spec = _spec_file(local_path(name, SpecError))
        return Choice(names.token_of(spec), spec)
    if name in shipped.shipped():
        card = shipped.shipped()[name]
        return Choice(name, card.spec, card, shipped.shipped_path(name))
    near = difflib.get_close_matches(name, shipped.shipped(), n=1, cutoff=0.8)
    try:
        return Choice(name, names.spec_of(name))
    except SpecError:
        if near and ";" not in name:
            raise SpecError(
                f"There is no net named {name[:60]!r}: did you mean the trained {near[0]!r}?"
            ) from None
        raise


def _spec_file(path: Path) -> NetSpec:
    """A spec, or what ``skipscope show --json`` printed."""
    try:
        text = small_text(path)
    except UnicodeDecodeError:
        raise SpecError(f"The file {path.name} is not text, so it cannot be a net spec.") from None
    except OSError as error:
        raise SpecError(
            f"The spec file {str(path)!r} cannot be read: {error.strerror or error}."
        ) from None
    try:
        value: Any = plain_json(text)
    except ValueError:
        return parse_net(text)  # says what is wrong with it
    if isinstance(value, dict) and "units" in value and isinstance(value.get("spec"), dict):
        value = value["spec"]
    return parse_net(value)


def data_spec(args: argparse.Namespace, default: DataSpec | None = None) -> DataSpec:
    """The data that ``--data`` and its companions ask for, else ``default``, else the digits.

    Raises:
        DataError: Neither a known name nor a folder.
        SpecError: A limit or size that is not possible.
    """
    given: str | None = args.data
    fields: dict[str, Any]
    if given is None:
        fields = (default or DataSpec()).model_dump()
    elif given in DATASETS:
        fields = {"name": given}
    elif os.path.isdir(local_path(given, DataError)):
        fields = {"name": "folder", "path": str(local_path(given, DataError).resolve())}
    else:
        near = difflib.get_close_matches(given, DATASETS, n=1, cutoff=0.5)
        known = f"did you mean {near[0]!r}, or" if near else f"give {', '.join(DATASETS)}, or"
        raise DataError(
            f"There is no data set or folder {given[:60]!r}: {known} "
            "a folder with train/CLASS/*.png and test/CLASS/*.png" + ("?" if near else ".")
        )
    for field in ("image_size", "train_limit", "augment", "cutout", "label_noise"):
        value = getattr(args, field, None)
        if value is not None:
            fields[field] = value
    return parse(DataSpec, fields)


def fitted(choice: Choice, data: DataSpec) -> NetSpec:
    """The net's spec for the images and classes of the data; trained nets stay as they are.

    Raises:
        DataError: A trained net is for other images, said before any are loaded.
    """
    info, spec = data_info(data), choice.spec
    shape, classes = info.input_shape, len(info.classes)
    if choice.card is None:
        return fit(spec, shape, classes)
    if (spec.input_shape, spec.classes) != (shape, classes):
        raise DataError(
            f"{choice.name} was trained on {choice.card.data.name}, images of "
            f"{shape_text(spec.input_shape)} and {spec.classes} classes, and {info.title} has "
            f"{shape_text(shape)} and {classes}; leave --data out, or choose an untrained net."
        )
    return spec


@dataclass(frozen=True)
class Loaded:
    """A net ready to be measured.

    Attributes:
        weights: Where its values come from, in words.
    """

    name: str
    net: Net
    dataset: Dataset
    weights: str


def load(args: argparse.Namespace) -> Loaded:
    """The net, data and weights of a measuring command.

    Raises:
        SkipscopeError: One sentence.
    """
    if is_external(args.net):
        return _load_external(args)
    choice = choose(args.net)
    data = data_spec(args, choice.card.data if choice.card else None)
    fitted(choice, data)  # refuses data that do not fit before any are loaded

    from explorer.cli.text import progress
    from explorer.data.load import load_data
    from explorer.training.devices import resolve

    device = resolve(args.device)
    with progress("data") as bar:
        dataset = load_data(data, lambda text, share: bar(share, text)).to(device)
    net, words = _filled(choice, data, args)
    if choice.card is not None and args.weights is None:
        dataset = dataset.normalised_by(choice.card.mean, choice.card.std)
    return Loaded(choice.name, net.to(device).eval(), dataset, words)


def load_alone(args: argparse.Namespace) -> tuple[str, Net, str]:
    """A net for a command that looks at weights alone: its name, itself, its weights in words.

    Nothing is measured on images, so none are loaded; ``args.data`` may still shape the net.

    Raises:
        SkipscopeError: One sentence.
    """
    if is_external(args.net):
        from explorer.nets.adapters import load_external

        weights = None if args.weights is None else str(args.weights)
        return (
            args.net.strip(),
            load_external(args.net, weights=weights, seed=args.seed).eval(),
            _external_words(args),
        )
    choice = choose(args.net)
    data = data_spec(args, choice.card.data if choice.card else None)
    net, words = _filled(choice, data, args)
    return choice.name, net.eval(), words


def _filled(choice: Choice, data: DataSpec, args: argparse.Namespace) -> tuple[Net, str]:
    """A net of ours with the weights that were asked for, and where they come from."""
    from explorer.nets import create_net
    from explorer.nets.weights import net_with_weights

    spec, file = fitted(choice, data), args.weights or choice.weights
    if file is None:
        net, words = create_net(spec, seed=args.seed), f"untrained, seed {args.seed}"
    else:
        if not str(file).endswith(".safetensors"):
            raise WeightsError(
                f"Weights are read from .safetensors files only, not from {str(file)!r}; "
                "save them with safetensors.torch.save_file."
            )
        net = net_with_weights(spec, file)
        trained = choice.card if args.weights is None else None
        words = f"trained on {trained.data.name}" if trained else f"from {Path(file).name}"
    return net, words


def external_data(args: argparse.Namespace) -> DataSpec:
    """``--data`` for another library's net: images of a folder are made as large as ImageNet's."""
    data = data_spec(args)
    if data.name == "folder" and args.image_size is None:
        return data.model_copy(update={"image_size": 224})
    return data


def _load_external(args: argparse.Namespace) -> Loaded:
    if args.data is None:
        raise DataError(
            f"Say with --data on which images {args.net} is to be measured: a folder of images, or "
            "cifar10."
        )
    data = external_data(args)
    info = data_info(data)

    from explorer.cli.text import progress
    from explorer.data.load import load_data
    from explorer.nets.adapters import load_external
    from explorer.probes.match import matched
    from explorer.training.devices import resolve

    device = resolve(args.device)
    fresh = args.weights is None
    adapted = load_external(
        args.net,
        weights=None if fresh else str(args.weights),
        input_shape=info.input_shape,
        classes=len(info.classes) if fresh else None,
        seed=args.seed,
    )
    with progress("data") as bar:
        dataset = load_data(data, lambda text, share: bar(share, text))
    net, dataset = matched(adapted, dataset)
    words = _external_words(args)
    return Loaded(args.net.strip(), net.to(device).eval(), dataset.to(device), words)


def _external_words(args: argparse.Namespace) -> str:
    if args.weights is None:
        return f"untrained, seed {args.seed}"
    if str(args.weights) == "default":
        return "trained on ImageNet by its library"
    return f"from {args.weights.name}"
