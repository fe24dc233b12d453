"""From what was typed to a net, its weights and its data. Only loading imports torch."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.data.catalog import data_info, is_place
from explorer.data.uploaded import is_kept_zip
from explorer.errors import DataError, SpecError, WeightsError
from explorer.structure import cards, named_nets, names, trained_on
from explorer.structure.blueprint import Blueprint, blueprint
from explorer.structure.graph import shape_text
from explorer.structure.library_nets import images_for, is_external
from explorer.structure.named_nets import Ours, Shipped
from explorer.structure.specs import DATASETS, DataSpec, NetSpec, fit, parse, parse_net, sized_for
from explorer.system.bounded import local_path, plain_json, small_text
from explorer.writing.formats import OWN_IMAGES, WEIGHTS_HEAD, weights_suffix

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
        open_to: All nets that the file may be of, where shapes do not tell; ``spec`` is the first.
    """

    name: str
    spec: NetSpec
    card: cards.AnyCard | None = None
    weights: Path | None = None
    open_to: tuple[NetSpec, ...] = ()


def choose(name: str) -> Choice:
    """A net by name, token, shipped name, spec file (.json) or weights file.

    Weights without a card tell by their shapes which net they are of.

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
    file = _weights_file(name)
    if file is not None:
        card = cards.card_beside(file)
        return _recognised(file) if card is None else Choice(card.name, card.spec, card, file)
    if name.endswith(".json"):
        spec = _spec_file(local_path(name, SpecError))
        return Choice(names.token_of(spec), spec)
    found = named_nets.named(name)
    match found:
        case Shipped():
            return Choice(name, found.spec, found.card, cards.shipped_path(name))
        case Ours(spec, None):
            return Choice(name, spec)
        case _:
            raise SpecError(
                f"{name[:60]} is a net of the app's pages: open it there, or give a net of "
                "`skipscope list`, with --weights where it has a file of its own."
            )


def _weights_file(name: str) -> Path | None:
    """The file of a name that stands for weights, by its ending or by what is in it."""
    if name.endswith(".safetensors"):
        return local_path(name, WeightsError)
    if name in cards.shipped() or name.startswith(named_nets.RUN) or ";" in name:
        return None
    try:
        file = local_path(name, WeightsError)
        if not file.is_file():  # a pipe would wait for ever
            return None
        with file.open("rb") as content:
            return file if weights_suffix(content.read(WEIGHTS_HEAD)) else None
    except (OSError, WeightsError):  # no file: another kind of name
        return None


def _recognised(file: Path) -> Choice:
    """The net that weights are of, from their header or their shapes."""
    from explorer.measuring.recognise import candidates

    specs = candidates(file)
    return Choice(names.token_of(specs[0]), specs[0], None, file, tuple(specs))


def plan_of(name: str) -> Blueprint:
    """A net's structure, which needs neither weights nor images."""
    if is_external(name):
        from explorer.nets.adapters import external_blueprint

        return external_blueprint(name)
    return blueprint(choose(name).spec)


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
    elif is_kept_zip(given):
        fields = {"name": "folder", "path": given}
    elif is_place(given):
        fields = {"name": "folder", "path": str(local_path(given, DataError).resolve())}
    else:
        near = difflib.get_close_matches(given, DATASETS, n=1, cutoff=0.5)
        known = f"did you mean {near[0]!r}, or" if near else f"give {', '.join(DATASETS)}, or"
        raise DataError(
            f"There is no data set or folder {given[:60]!r}: {known} "
            f"{OWN_IMAGES}{'?' if near else '.'}"
        )
    for field in (
        "image_size",
        "resize",
        "balanced",
        "train_limit",
        "augment",
        "cutout",
        "label_noise",
    ):
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
        return fit(spec, shape, classes if choice.weights is None else spec.classes)
    known = set(info.classes) < set(choice.card.trained_on.classes)
    if (spec.input_shape, known) == (shape, True):
        return spec
    if (spec.input_shape, spec.classes) != (shape, classes):
        raise DataError(
            f"{choice.name} was trained on {choice.card.data_name or 'other data'}, images of "
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
    data = _data_for(choice, args)
    fitted(choice, data)  # refuses data that do not fit before any are loaded

    from explorer.cli.text import note, progress
    from explorer.data.load import load_data
    from explorer.measuring.match import matched
    from explorer.measuring.recognise import recognise
    from explorer.training.devices import resolve

    device = resolve(args.device)
    net, words = _filled(choice, data, args)  # refuses files before images are decoded
    with progress("data") as bar:
        dataset = load_data(data, lambda text, share: bar(share, text)).to(device)
    name, open_to = choice.name, _open_to(choice, net.spec, args)
    if len(open_to) > 1:
        file = args.weights or choice.weights
        assert file is not None  # else nothing is open
        net, said = recognise(Path(file), open_to, dataset, given=net.trained_on)
        name = names.token_of(net.spec)
        note(said)
    net, dataset = matched(net, dataset)
    return Loaded(name, net.to(device).eval(), dataset, words)


def _open_to(choice: Choice, spec: NetSpec, args: argparse.Namespace) -> Sequence[NetSpec]:
    """What weights may be of besides the net as it was named."""
    if args.weights is None or "shortcut_pad" in args.net:
        return choice.open_to if args.weights is None else ()
    from explorer.measuring.recognise import candidates

    return candidates(Path(args.weights), spec)


def _data_for(choice: Choice, args: argparse.Namespace) -> DataSpec:
    """The data that is asked for, else what the net's weights were trained on.

    Images of a folder are made as large as those were, where nobody says another size.
    """
    card = choice.card
    if args.weights is not None:
        card = cards.card_beside(args.weights)
    data = data_spec(args, card.data if card else None)
    return data if card is None or args.data is None else sized_for(card.spec, data)


def _told(args: argparse.Namespace, net: Net) -> None:
    """What a person says of the weights goes before what is known of them.

    Raises:
        SpecError: It does not go with the net.
    """
    given = trained_on.told(args.mean or (), args.std or (), args.classes or ())
    given.check(net.spec.input_shape[0], net.spec.classes, "--mean and --std", "--classes")
    if given:
        known = net.trained_on
        net.trained_on = given if known is None else known.with_given(given)


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
    data = _data_for(choice, args)
    net, words = _filled(choice, data, args)
    return choice.name, net.eval(), words


def _filled(choice: Choice, data: DataSpec, args: argparse.Namespace) -> tuple[Net, str]:
    """A net of ours with the weights that were asked for, and where they come from."""
    from explorer.cli.text import note
    from explorer.nets import create_net
    from explorer.nets.weight_files import stored_tensors
    from explorer.nets.weights import fitted_to, net_with_weights

    spec, file = fitted(choice, data), args.weights or choice.weights
    if file is None:
        net, words = create_net(spec, seed=args.seed), f"untrained, seed {args.seed}"
    else:
        net = net_with_weights(fitted_to(spec, file), file)
        for sentence in stored_tensors(Path(file)).notes:
            note(sentence)
        trained = choice.card if args.weights is None else None
        known = trained is not None and trained.recipe is not None
        words = (
            f"trained on {trained.data_name}" if trained and known else f"from {Path(file).name}"
        )
    _told(args, net)
    return net, words


def external_data(args: argparse.Namespace) -> DataSpec:
    """``--data`` for another library's net: images of a folder are cut as ImageNet's are."""
    data = data_spec(args)
    weights = getattr(args, "weights", None)
    return images_for(args.net, None if weights is None else str(weights), data)


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
    from explorer.measuring.match import matched
    from explorer.nets.adapters import load_external
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
    _told(args, adapted)
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
