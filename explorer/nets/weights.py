"""Weights to disk and back: safetensors with a JSON card, never a pickle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from explorer.blueprint import blueprint
from explorer.errors import SpecError, WeightsError
from explorer.files import whole, write_text
from explorer.nets.net import Net
from explorer.shipped import Card, card_path, read_card, shipped_path
from explorer.specs import DATASETS, NetSpec, fit


def save_weights(net: Net, path: Path | str, card: Card) -> Path:
    """Write ``path`` (``.safetensors``) and the card beside it; returns the weights' path.

    Each file is there whole or as it was before.

    Raises:
        WeightsError: The card is another net's, or the folder cannot be written to.
    """
    file = Path(path).with_suffix(".safetensors")
    if card.spec != net.spec:
        raise WeightsError("The card describes another net; make it from net.spec.")
    tensors = {name: value.detach().cpu().contiguous() for name, value in net.state_dict().items()}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole(file) as partial:
            save_file(tensors, partial, {"spec": card.spec.model_dump_json()})
        write_text(card_path(file), card.model_dump_json(indent=1) + "\n")
    except (OSError, SafetensorError) as error:
        raise WeightsError(
            f"The weights cannot be saved as {file} ({error}): free some space, or choose another "
            "folder."
        ) from None
    return file


def load_weights(net: Net, path: Path | str) -> None:
    """Fill ``net`` from a safetensors file that has exactly its tensors.

    The net is changed only once everything has been checked.

    Raises:
        WeightsError: One sentence: not safetensors, damaged, or what differs from the net.
    """
    file = Path(path)
    with _opened(file) as stored:
        loaded = {name: stored.get_tensor(name) for name in _compare(file.name, net, stored)}
    refuse_other_kinds(file.name, net.state_dict(), loaded)
    net.load_state_dict(loaded)


@contextmanager
def _opened(path: Path | str) -> Iterator[Any]:
    """A safetensors file by its header; its tensors are read one by one."""
    file = Path(path)
    if not file.is_file():
        raise WeightsError(f"There is no weights file {file}; check the path.")
    try:
        with safe_open(file, framework="pt") as stored:
            yield stored
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{file.name} is not a safetensors file, or is damaged ({error}); only safetensors "
            "files are read, never pickles (.pt, .pth, .bin): save the weights with "
            "safetensors.torch.save_file."
        ) from None


def _shapes(stored: Any) -> dict[str, tuple[int, ...]]:
    return {name: tuple(stored.get_slice(name).get_shape()) for name in stored.keys()}  # noqa: SIM118


def _compare(file: str, net: Net, stored: Any) -> dict[str, tuple[int, ...]]:
    """The shapes of the stored tensors, which are the net's."""
    shapes = _shapes(stored)
    wanted = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    compare_shapes(file, wanted, shapes)
    return shapes


def take_memory(net: Net) -> None:
    """Values, whatever they are, for a net that was made on the meta device."""
    # As to_empty(device="cpu") does, which imports torch's symbolic shapes for it (0.6 s).
    memory = {name: torch.empty(t.shape, dtype=t.dtype) for name, t in net.state_dict().items()}
    net.load_state_dict(memory, assign=True)


def net_with_weights(spec: NetSpec, path: Path | str) -> Net:
    """A net with the weights of a file, in training mode; nothing is drawn at random.

    Raises:
        WeightsError: See :func:`load_weights`; said before the net takes any memory.
    """
    with torch.device("meta"):
        net = Net(blueprint(spec))
    with _opened(path) as stored:
        _compare(Path(path).name, net, stored)
    take_memory(net)
    load_weights(net, path)
    return net


def fitted_to(spec: NetSpec, path: Path | str) -> NetSpec:
    """The spec at the image shape and classes of the file, where a data set has these.

    Only the header of the file is read; what does not fit is left to :func:`load_weights`.
    """
    try:
        with safe_open(path, framework="pt") as stored:
            given = _shapes(stored)
    except (SafetensorError, OSError):
        return spec
    shapes = {(info.input_shape, len(info.classes)) for info in DATASETS.values()}
    for shape, classes in [(spec.input_shape, spec.classes), *sorted(shapes)]:
        try:
            fitted = fit(spec, shape, classes)
        except SpecError:  # too small for this net
            continue
        with torch.device("meta"):
            own = Net(blueprint(fitted)).state_dict()
        if {name: tuple(value.shape) for name, value in own.items()} == given:
            return fitted
    return spec


def load_pretrained(name: str) -> Net:
    """A shipped net with its trained weights, in eval mode.

    Raises:
        WeightsError: The name is unknown (the sentence lists the shipped ones), or the file is
            missing or damaged.
    """
    file = shipped_path(name)
    return net_with_weights(read_card(file).spec, file).eval()


def compare_shapes(
    file: str, wanted: dict[str, tuple[int, ...]], given: dict[str, tuple[int, ...]]
) -> None:
    """Refuse tensors that are not, by name and shape, those of the net."""
    advice = "choose the net that these weights were saved from."
    missing = [name for name in wanted if name not in given]
    unexpected = [name for name in given if name not in wanted]
    if missing or unexpected:
        parts = [f"it lacks {_some(missing)}"] if missing else []
        parts += [f"it has {_some(unexpected)}, which the net lacks"] if unexpected else []
        raise WeightsError(f"{file} is not this net's: {' and '.join(parts)}; {advice}")
    other = [name for name in wanted if wanted[name] != given[name]]
    if other:
        first = other[0]
        more = f" (and {len(other) - 1} more)" if len(other) > 1 else ""
        raise WeightsError(
            f"{file} is not this net's: {first} has the shape {given[first]} instead of "
            f"{wanted[first]}{more}; {advice}"
        )


def refuse_other_kinds(
    file: str, own: dict[str, torch.Tensor], loaded: dict[str, torch.Tensor]
) -> None:
    """Refuse whole numbers for fractions, and values that are not finite."""
    for name, value in loaded.items():
        if value.is_floating_point() != own[name].is_floating_point():
            raise WeightsError(
                f"{file} is not this net's: {name} holds {value.dtype} instead of "
                f"{own[name].dtype}; save the net again."
            )
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise WeightsError(
                f"{file} cannot be used: {name} has values that are not finite, as after a "
                "training that diverged; train again with a lower learning rate."
            )


def _some(names: Iterable[str]) -> str:
    first, *rest = names
    return f"{first} and {len(rest)} more tensors" if rest else first
