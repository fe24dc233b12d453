"""Weights to disk and back: written as safetensors with a JSON card, read from any file of tensors.

What is read is a file's claims first (:mod:`explorer.nets.weight_files`), held against the net;
memory is taken only then. What belongs to the weights comes with them: :func:`trained_on`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn

from explorer.errors import SpecError, WeightsError
from explorer.nets import layouts
from explorer.nets.net import Net
from explorer.nets.weight_files import StoredTensors, stored_tensors
from explorer.structure.blueprint import blueprint
from explorer.structure.cards import AnyCard, card_beside, card_path, read_card, shipped_path
from explorer.structure.specs import DATASETS, NetSpec, fit, parse_net
from explorer.structure.trained_on import TrainedOn, read, told_path
from explorer.system.bounded import small_text, stored_json
from explorer.system.files import whole, write_text

# The one key of a header, for safetensors writes several in an order of chance: the net, and what
# the weights were trained on.
_OURS = "skipscope-weights"
_SPEC = "spec"  # the key of earlier files: the net alone
_SNAPSHOT = "skipscope"  # and of a training's snapshot


def save_weights(net: Net, path: Path | str, card: AnyCard) -> Path:
    """Write ``path`` (``.safetensors``) and the card beside it; returns the weights' path.

    Each file is there whole or as it was before. Weights are rounded to the card's ``precision``.

    Raises:
        WeightsError: The card is another net's, or the folder cannot be written to.
    """
    file = Path(path).with_suffix(".safetensors")
    if card.spec != net.spec:
        raise WeightsError("The card describes another net; make it from net.spec.")
    tensors = {name: value.detach().cpu().contiguous() for name, value in net.state_dict().items()}
    if card.precision == "float16":
        tensors = {name: _halved(value) for name, value in tensors.items()}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole(file) as partial:
            save_file(tensors, partial, {_OURS: _header(card)})
        write_text(card_path(file), card.model_dump_json(indent=1) + "\n")
    except (OSError, SafetensorError) as error:
        raise WeightsError(
            f"The weights cannot be saved as {file} ({error}): free some space, or choose another "
            "folder."
        ) from None
    return file


def _header(card: AnyCard) -> str:
    of = {"spec": card.spec, "trained_on": card.trained_on}
    return json.dumps({name: part.model_dump(mode="json") for name, part in of.items()})


def _in_header(stored: StoredTensors, part: str) -> Any:
    """A part of what :func:`save_weights` wrote; None in a file that is none of ours."""
    try:
        return stored_json(stored.header[_OURS])[part]
    except (KeyError, TypeError, ValueError):
        return None


def round_weights(net: Net) -> None:
    """What a net is after its weights were stored as float16 and read again."""
    net.load_state_dict({name: _halved(value) for name, value in net.state_dict().items()})


def _halved(value: torch.Tensor) -> torch.Tensor:
    """Matrices and kernels as float16, which takes half the space.

    Biases and what belongs to batch norms are few, and some beyond float16's range.
    """
    if value.ndim < 2 or not value.is_floating_point():
        return value
    half = value.half()
    return half if bool(torch.isfinite(half).all()) else value


def load_weights(net: Net, path: Path | str) -> None:
    """Fill ``net`` from a file that has its tensors; :attr:`Net.trained_on` comes with them.

    The net is changed only once everything has been checked. The file may be safetensors or what
    ``torch.save`` wrote, of which tensors alone are read, with the net's own names.

    Raises:
        WeightsError: One sentence: not such a file, damaged, or what differs from the net.
    """
    file = Path(path)
    fill(net, stored_tensors(file))
    net.trained_on = _known(net, file)


def fill(net: nn.Module, stored: StoredTensors) -> None:
    """Fill a module of any library from tensors that are its own.

    A net of ours also takes those of other programs' layouts (:mod:`explorer.nets.layouts`). Values
    take the module's precision and memory format. Batch counters may be missing.

    Raises:
        WeightsError: What differs, or values that are not finite.
    """
    stored = as_own(net, stored)
    own: dict[str, torch.Tensor] = net.state_dict()
    # A file without counters has statistics all the same, of batches that nobody counted.
    counters = {
        name: torch.ones_like(value) for name, value in own.items() if name.endswith(_COUNTER)
    }
    loaded = {
        name: value.long() if name in counters else value
        for name, value in {**counters, **stored.read()}.items()
        if name in own
    }
    refuse_other_kinds(stored.file, own, loaded)
    net.load_state_dict(loaded)


def as_own(net: nn.Module, stored: StoredTensors) -> StoredTensors:
    """The tensors under the module's names; refuses those that are not its own, unread."""
    wanted = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    if isinstance(net, Net) and _counted(wanted) != _counted(stored.shapes):
        renamed = layouts.renamed_for(net, stored)
        if renamed is not None:
            return renamed
        other = layouts.first_difference(net, stored)
        if other is not None and set(wanted).isdisjoint(stored.shapes):
            raise WeightsError(
                f"{stored.file} is not this net's: {other}; choose the net that these weights were "
                "saved from, and images of its shape and classes."
            )
    compare_shapes(stored.file, _counted(wanted), _counted(stored.shapes))
    return stored


def is_foreign(spec: NetSpec, stored: StoredTensors) -> bool:
    """Whether the tensors have other names than the net of ours."""
    with torch.device("meta"):
        own = Net(blueprint(spec)).state_dict()
    return set(_counted(stored.shapes)).isdisjoint(own)


_COUNTER = "num_batches_tracked"  # that no net computes with, and files may have as they like


def spec_in_header(stored: StoredTensors) -> NetSpec | None:
    """The net that a file of ours says it is of."""
    try:
        return parse_net(_in_header(stored, "spec") or stored.header[_SPEC])
    except (KeyError, SpecError):
        return None


def _counted(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    return {name: shape for name, shape in shapes.items() if not name.endswith(_COUNTER)}


def trained_on(path: Path | str) -> TrainedOn | None:
    """What belongs to the weights of a file: as a person told it, its header, or its card."""
    file = Path(path)
    beside = told_path(file)
    try:
        given = read(small_text(beside)) if beside.is_file() else None
    except (OSError, UnicodeDecodeError, WeightsError):
        given = None
    if given is not None:
        return given
    try:
        stored = stored_tensors(file)
    except WeightsError:
        return None
    if _OURS in stored.header:
        return read(json.dumps(_in_header(stored, "trained_on")))
    if _SNAPSHOT in stored.header:
        return _of_snapshot(stored.header[_SNAPSHOT])
    try:
        card = card_beside(file)
    except WeightsError:  # whoever needs the card itself is told
        return None
    return None if card is None else card.trained_on


def _of_snapshot(text: str) -> TrainedOn | None:
    """Of weights that a training wrote while it went on."""
    try:
        state = stored_json(text)
    except ValueError:
        return None
    if not isinstance(state, dict):
        return None
    known = {name: state[name] for name in ("data", "mean", "std", "classes") if name in state}
    try:
        return TrainedOn.model_validate(known)
    except ValueError:
        return None


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
    file = Path(path)
    stored = stored_tensors(file)
    as_own(net, stored)
    take_memory(net)
    fill(net, stored)
    net.trained_on = _known(net, file)
    return net


def _known(net: Net, file: Path) -> TrainedOn | None:
    known = trained_on(file)
    if known is not None:
        known.check(net.spec.input_shape[0], net.spec.classes)
    return known


def fitted_to(spec: NetSpec, path: Path | str) -> NetSpec:
    """The spec at the image shape and classes of the file, where a data set has these.

    Only the header of the file is read; what does not fit is left to :func:`load_weights`.
    """
    try:
        stored = stored_tensors(Path(path))
    except WeightsError:
        return spec
    shapes = {(info.input_shape, len(info.classes)) for info in DATASETS.values()}
    found = layouts.parts_of(stored.shapes)
    own = [(spec.input_shape, found.head[-1].maps)] if found and found.head else []
    for shape, classes in [(spec.input_shape, spec.classes), *own, *sorted(shapes)]:
        try:
            fitted = fit(spec, shape, classes)
            with torch.device("meta"):
                as_own(Net(blueprint(fitted)), stored)
        except (SpecError, WeightsError):  # too small for this net, or another's
            continue
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
