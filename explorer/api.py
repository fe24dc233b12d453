"""What ``import explorer`` offers where names must become data or nets first.

Data may be a name (``"digits"``), a folder, a :class:`DataSpec` or a loaded :class:`Dataset`.
Another library's net sees it as :func:`explorer.measuring.match.matched` says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from torch import Tensor

from explorer.data import load as loading
from explorer.data.catalog import is_place
from explorer.data.dataset import Dataset
from explorer.data.uploaded import is_kept_zip
from explorer.errors import DataError, WeightsError
from explorer.measuring import predict as prediction
from explorer.measuring import (
    programs,
)
from explorer.measuring.match import matched
from explorer.measuring.recognise import candidates, recognise
from explorer.measuring.statistics import measuring
from explorer.nets import Net, weights
from explorer.nets.weights import fitted_to
from explorer.results import (
    Floats,
    ProgramResult,
    Record,
    SweepResult,
)
from explorer.runs.sweeps import sweep as sweeping
from explorer.runs.sweeps.sweep import Progress
from explorer.structure import trained_on
from explorer.structure.names import spec_of
from explorer.structure.specs import (
    DATASETS,
    RECIPES,
    SEED,
    DataSpec,
    ExperimentSpec,
    NetSpec,
    SweepSpec,
    TrainSpec,
    fit,
    parse,
)
from explorer.system.bounded import local_path
from explorer.training.loop import Session
from explorer.writing.formats import OWN_IMAGES

Data = str | Path | DataSpec | Dataset


def load_data(data: Data = "digits") -> Dataset:
    """A data set by name, folder or spec; one that is loaded already is returned as it is.

    Raises:
        DataError: Neither a known name nor a usable folder, or it cannot be downloaded.
    """
    return data if isinstance(data, Dataset) else loading.load_data(data_spec(data))


def load_checkpoint(
    path: str | Path,
    net: str | NetSpec | None = None,
    data: Data | None = None,
    *,
    mean: Sequence[float] = (),
    std: Sequence[float] = (),
    classes: Sequence[str] = (),
) -> Net:
    """The net of a file of weights, in eval mode; of the file tensors alone are read.

    Args:
        path: What ``torch.save`` or safetensors wrote, under any name.
        net: What it is of; None tells it from the shapes. Where these fit several, as with the
            side of option A's zeros, they are tried on ``data``.
        mean, std: By which images are normalised for the net, on the scale 0 … 1; what the file
            or its card says where nothing is given.
        classes: The answers' names, or the name of a data set that has them.

    Raises:
        SkipscopeError: One sentence: what the file is not, or which nets it may be of.
    """
    file = local_path(path, WeightsError)
    spec = spec_of(net) if isinstance(net, str) else net
    said = isinstance(net, str) and "shortcut_pad" in net
    specs = [spec] if spec is not None and said else candidates(file, spec)
    specs = [fitted_to(one, file) for one in specs]
    given = trained_on.told(mean, std, classes)
    known = (weights.trained_on(file) or trained_on.TrainedOn()).with_given(given)
    dataset = None if data is None or len(specs) == 1 else load_data(data)
    found, _ = recognise(file, specs, dataset, given=known or None)
    known.check(found.spec.input_shape[0], found.spec.classes)
    return found


def evaluate_program(
    net: Net,
    data: Data,
    program: programs.Program,
    *,
    gates: programs.Gates | None = None,
    n_images: int | None = None,
    recalibrate: int = 0,
    name: str | None = None,
) -> ProgramResult:
    """Accuracy with these units in this order; see :mod:`explorer.measuring.programs`."""
    net, dataset = matched(net, load_data(data))
    return programs.evaluate_program(
        net, dataset, program, gates=gates, n_images=n_images, recalibrate=recalibrate, name=name
    )


def predict(
    net: Net, images: Tensor, data: Data = "digits", *, program: programs.Program | None = None
) -> Floats:
    """Class probabilities (N, classes) of uint8 images (N, C, H, W), normalised as ``data`` is."""
    net, dataset = matched(net, load_data(data))
    with measuring(net, dataset, images):
        return prediction.predict(net, dataset.normalise(images), program=program)


def train(
    nets: Sequence[str | NetSpec],
    data: Data = "digits",
    training: TrainSpec | None = None,
    *,
    seed: int = SEED,
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto",
    on_record: Callable[[Record], None] | None = None,
) -> Session:
    """Train one to four nets in lock-step to the end; the session's ``nets`` are trained.

    To look in between, iterate over ``Session(experiment).records()`` instead.

    Args:
        nets: Names, tokens or specs; they are fitted to the data.
    """
    dataset = load_data(data)
    shape, classes = dataset.info.input_shape, len(dataset.info.classes)
    lanes = [fit(spec_of(net) if isinstance(net, str) else net, shape, classes) for net in nets]
    experiment = parse(
        ExperimentSpec,
        {
            "lanes": lanes,
            "data": dataset.spec,
            "training": training or RECIPES["one_cycle"],
            "seed": seed,
            "device": device,
        },
    )
    session = Session(experiment, dataset)
    for record in session.records():
        if on_record is not None:
            on_record(record)
    return session


def sweep(
    nets: Sequence[str],
    depths: Sequence[int],
    data: str | Path | DataSpec = "digits",
    training: TrainSpec | None = None,
    *,
    seeds: int = 1,
    seed: int = SEED,
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto",
    folder: str | Path | None = None,
    processes: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> SweepResult:
    """Train families of nets at several depths, one process a core (or GPU).

    Interrupting it saves what is under way; the same call with the same folder goes on.

    Args:
        nets: Names with N for the depth: ``["plain_N", "resnet_v2_N"]``.
        folder: Where everything is kept; None: a new one in ``~/.skipscope/sweeps``.
        on_progress: Told a few times a second how far it is, and what is known.
    """
    spec = parse(
        SweepSpec,
        {
            "nets": tuple(nets),
            "depths": tuple(depths),
            "seeds": seeds,
            "data": data_spec(data),
            "training": training or RECIPES["one_cycle"],
            "seed": seed,
            "device": device,
        },
    )
    where = sweeping.new_folder() if folder is None else local_path(folder)
    return sweeping.Sweep(where, spec).run(processes=processes, on_progress=on_progress)


def data_spec(data: str | Path | DataSpec) -> DataSpec:
    """The spec of a name or a folder; raises :class:`DataError`."""
    if isinstance(data, DataSpec):
        return data
    if isinstance(data, str) and data in DATASETS:
        return parse(DataSpec, {"name": data})
    if is_place(data):
        path = str(data) if is_kept_zip(data) else str(local_path(data, DataError))
        return parse(DataSpec, {"name": "folder", "path": path})
    raise DataError(
        f"There is no data set or folder {str(data)!r}: give {', '.join(DATASETS)}, or "
        f"{OWN_IMAGES}."
    )
