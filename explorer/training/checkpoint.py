"""Checkpoints: one safetensors file whose header holds the rest as JSON; nothing is pickled.

The header also holds a checksum of all that: damage that leaves a readable file is found, too.
"""

from __future__ import annotations

import json
import shutil
import zlib
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from explorer.data.dataset import Dataset
from explorer.errors import DamagedError, RunError, SpecError
from explorer.structure.specs import ExperimentSpec, parse
from explorer.system.bounded import stored_json
from explorer.system.files import whole
from explorer.system.trouble import size

_HEADER, _CHECKSUM = "skipscope", "crc32"
_FORMAT = 2


def snapshot_state(path: str | Path) -> dict[str, Any]:
    """What stands in the header of a training's snapshot; nothing in other weights."""
    try:
        with safe_open(path, framework="pt") as file:
            state = stored_json((file.metadata() or {})[_HEADER])
    except (OSError, SafetensorError, KeyError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def cpu_state(net: nn.Module) -> dict[str, Tensor]:
    """Weights and buffers, on the CPU; lanes that are trained together share storage."""
    return {name: _own(value) for name, value in net.state_dict().items()}


def _own(value: Tensor) -> Tensor:
    value = value.detach().cpu().contiguous()
    whole = value.untyped_storage().nbytes() == value.nbytes
    return value if whole else value.clone()


def write(path: str | Path, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
    """Write a file whole (:mod:`explorer.system.files`): readers see the old one or the new.

    Raises:
        RunError: The file cannot be written.
    """
    path = Path(path)
    text = json.dumps({"format": _FORMAT, **state}, allow_nan=False)
    header = {_HEADER: text, _CHECKSUM: _checksum(text, tensors)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as partial:
            save_file(tensors, partial, metadata=header)
    except (OSError, SafetensorError) as error:
        needed = sum(value.nbytes for value in tensors.values())
        raise RunError(
            f"The file {str(path)!r} cannot be written ({error}): it needs {size(needed)}"
            f"{_free(path.parent)}; free some space, or choose another folder."
        ) from None


def _checksum(text: str, tensors: dict[str, Tensor]) -> str:
    """CRC-32 of the header's text, and of every tensor with its name, kind and shape."""
    value = zlib.crc32(text.encode())
    for name, tensor in sorted(tensors.items()):
        value = zlib.crc32(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode(), value)
        content = tensor.contiguous().flatten().view(torch.uint8).numpy()
        value = zlib.crc32(content.data, value)
    return f"{value:08x}"


def _free(folder: Path) -> str:
    try:
        return f", and {size(shutil.disk_usage(folder).free)} are free there"
    except OSError:  # the folder is not there either
        return ""


def read(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and state of a checkpoint.

    Raises:
        RunError: No such file, or of another version; where damaged, :class:`DamagedError`.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            text = metadata[_HEADER]
            state = stored_json(text)
            if not isinstance(state, dict):
                raise ValueError("no state")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        # Those written before there were checksums have none.
        if metadata.get(_CHECKSUM) not in (None, _checksum(text, tensors)):
            raise ValueError("other content than was written")
    except FileNotFoundError:
        raise RunError(
            f"There is no checkpoint {str(path)!r}: start the run anew, or give another file."
        ) from None
    except (OSError, SafetensorError, KeyError, ValueError):
        raise DamagedError(
            f"The file {str(path)!r} is not a whole checkpoint: start the run anew, or give "
            "another file."
        ) from None
    if state.get("format") != _FORMAT or "experiment" not in state:
        raise RunError(
            f"The file {str(path)!r} is no checkpoint of this version of Skipscope: start the "
            "run anew."
        )
    return tensors, state


def experiment_of(state: dict[str, Any], path: str | Path) -> ExperimentSpec:
    """What a checkpoint is of; raises :class:`RunError` where this version refuses it."""
    try:
        return parse(ExperimentSpec, state["experiment"])
    except SpecError as error:
        raise RunError(
            f"The checkpoint {str(path)!r} was written by another version of Skipscope ({error}): "
            "start the run anew."
        ) from None


def check_experiment(saved: ExperimentSpec, wanted: ExperimentSpec, path: str | Path) -> None:
    """Raises :class:`RunError` where a checkpoint is of another experiment, naming what differs."""
    ours, theirs = saved.model_dump(), wanted.model_dump()
    other = [name for name in ours if ours[name] != theirs[name]]
    if other:
        raise RunError(
            f"The checkpoint {str(path)!r} is of another experiment (its {', '.join(other)} "
            "differ): resume it as it is, or start a new one; the checkpoint is left untouched."
        )


def under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with ``prefix``, without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def load_net(net: nn.Module, tensors: dict[str, Tensor], path: str | Path) -> None:
    """Load weights and buffers; raises :class:`RunError` where they are another net's."""
    try:
        net.load_state_dict(tensors)
    except RuntimeError:
        raise RunError(
            f"The checkpoint {str(path)!r} holds the weights of other nets than its "
            "experiment names: start the run anew."
        ) from None


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Momenta, counters and the like as ``POSITION.NAME``."""
    return {
        f"{position}.{name}": value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for position, entries in optimizer.state_dict()["state"].items()
        for name, value in entries.items()
        if isinstance(value, Tensor)
    }


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """The inverse of :func:`optimizer_tensors`.

    A momentum takes its parameter's memory format, which the fused optimisers rely on.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        position, name = key.split(".", 1)
        parameter = parameters[int(position)]
        if value.shape == parameter.shape:
            value = torch.empty_like(parameter, requires_grad=False).copy_(value)
        state.setdefault(int(position), {})[name] = value
    optimizer.load_state_dict(
        {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}
    )


def fingerprint(dataset: Dataset) -> dict[str, Any]:
    """What tells a data set from one that has changed since."""
    return {
        "n_train": len(dataset.train_labels),
        "n_test": len(dataset.test_labels),
        "classes": list(dataset.info.classes),
        "mean": dataset.mean.tolist(),
        "std": dataset.std.tolist(),
    }


def check_fingerprint(saved: dict[str, Any], dataset: Dataset, path: str | Path) -> None:
    """Raises :class:`RunError` where the data is not what the checkpoint was trained on."""
    if saved != fingerprint(dataset):
        raise RunError(
            f"The data has changed since {str(path)!r} was written ({dataset.info.title} then had "
            f"{saved['n_train']} training images): restore it, or start the run anew."
        )
