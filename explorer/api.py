"""What ``import explorer`` offers where names must become data or nets first.

Each function is the instrument of the same name with conveniences: data may be a name
(``"digits"``), a folder, a :class:`DataSpec` or a loaded :class:`Dataset`. Another library's net
sees it as :func:`explorer.probes.match.matched` says.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Literal

from torch import Tensor

from explorer.bounded import local_path
from explorer.data import load as loading
from explorer.data.dataset import Dataset
from explorer.errors import DataError
from explorer.names import spec_of
from explorer.nets import Net
from explorer.probes import (
    activations,
    deletions,
    gates,
    gradients,
    held_gates,
    lesions,
    paths,
    programs,
    responses,
    reuse,
    shuffles,
    surface,
    unravelled,
)
from explorer.probes import gradient_terms as terms
from explorer.probes import gradients_at_init as at_init
from explorer.probes import predict as prediction
from explorer.probes import propagation as propagating
from explorer.probes import sensitivity as amplifying
from explorer.probes import vanishing as vanishes
from explorer.probes.match import matched
from explorer.probes.picture import Image
from explorer.probes.statistics import measuring
from explorer.results import (
    ActivationMaps,
    Attribution,
    Baseline,
    BranchResponses,
    Channels,
    ClassifierByUnit,
    EstimationError,
    FeatureReuse,
    Floats,
    GateDistribution,
    GateImage,
    GateLesions,
    GateMaps,
    GateMeans,
    GradientsAtInit,
    GradientTerms,
    LayerGradients,
    LayerResponses,
    LesionBand,
    LesionCurve,
    LossSurface,
    Method,
    Part,
    PathGradients,
    ProgramResult,
    Propagation,
    Record,
    Sensitivity,
    ShortcutScaling,
    ShuffleLesions,
    StageLesions,
    SurfaceNorm,
    SwapLesions,
    SweepResult,
    UnitConductance,
    UnravelledView,
    VanishingCauses,
)
from explorer.results.lesion_studies import GateValue, Moves
from explorer.results.vanishing import Layers
from explorer.runs import sweep as sweeping
from explorer.runs.sweep import Progress
from explorer.specs import (
    DATASETS,
    RECIPES,
    DataSpec,
    ExperimentSpec,
    NetSpec,
    Order,
    SweepSpec,
    TrainSpec,
    fit,
    parse,
)
from explorer.training.loop import Session

Data = str | Path | DataSpec | Dataset


def load_data(data: Data = "digits") -> Dataset:
    """A data set by name, folder or spec; one that is loaded already is returned as it is.

    Raises:
        DataError: Neither a known name nor a usable folder, or it cannot be downloaded.
    """
    return data if isinstance(data, Dataset) else loading.load_data(_data_spec(data))


def lesion_curve(
    net: Net,
    data: Data = "digits",
    *,
    n_images: int | None = None,
    train: bool = False,
    recalibrate: int = 0,
    name: str | None = None,
    on_progress: Callable[[LesionCurve, float], None] | None = None,
) -> LesionCurve:
    """Accuracy after deleting each unit; see :func:`explorer.probes.lesions.lesion_curve`."""
    net, dataset = matched(net, load_data(data))
    return lesions.lesion_curve(
        net,
        dataset,
        n_images=n_images,
        train=train,
        recalibrate=recalibrate,
        name=name,
        on_progress=on_progress,
    )


def lesion_band(
    net: Net,
    data: Data = "digits",
    *,
    k: int | None = None,
    trials: int = 10,
    seed: int = 0,
    n_images: int | None = None,
    train: bool = False,
    recalibrate: int = 0,
    name: str | None = None,
    on_progress: Callable[[LesionBand, float], None] | None = None,
) -> LesionBand:
    """Accuracy after deleting 1 … k units at random (Veit16 Fig 5a).

    See :func:`explorer.probes.deletions.lesion_band`.
    """
    net, dataset = matched(net, load_data(data))
    return deletions.lesion_band(
        net,
        dataset,
        k=k,
        trials=trials,
        seed=seed,
        n_images=n_images,
        train=train,
        recalibrate=recalibrate,
        name=name,
        on_progress=on_progress,
    )


def stage_lesions(
    net: Net,
    data: Data = "digits",
    *,
    n_images: int | None = None,
    train: bool = False,
    recalibrate: int = 0,
    name: str | None = None,
) -> StageLesions:
    """Accuracy without whole stages; see :func:`explorer.probes.deletions.stage_lesions`."""
    net, dataset = matched(net, load_data(data))
    return deletions.stage_lesions(
        net, dataset, n_images=n_images, train=train, recalibrate=recalibrate, name=name
    )


def shuffle_lesions(
    net: Net,
    data: Data = "digits",
    *,
    points: int = 12,
    trials: int = 8,
    moves: Moves = "pairs",
    seed: int = 0,
    n_images: int | None = None,
    train: bool = False,
    recalibrate: int = 0,
    name: str | None = None,
    on_progress: Callable[[ShuffleLesions, float], None] | None = None,
) -> ShuffleLesions:
    """Accuracy with units of one shape reordered more and more (Veit16 Fig 5b).

    See :func:`explorer.probes.shuffles.shuffle_lesions`.
    """
    net, dataset = matched(net, load_data(data))
    return shuffles.shuffle_lesions(
        net,
        dataset,
        points=points,
        trials=trials,
        moves=moves,
        seed=seed,
        n_images=n_images,
        train=train,
        recalibrate=recalibrate,
        name=name,
        on_progress=on_progress,
    )


def swap_lesions(
    net: Net,
    data: Data = "digits",
    *,
    stage: int | None = None,
    n_images: int | None = None,
    train: bool = False,
    recalibrate: int = 0,
    name: str | None = None,
    on_progress: Callable[[SwapLesions, float], None] | None = None,
) -> SwapLesions:
    """Accuracy with every two units swapped; see :func:`explorer.probes.shuffles.swap_lesions`."""
    net, dataset = matched(net, load_data(data))
    return shuffles.swap_lesions(
        net,
        dataset,
        stage=stage,
        n_images=n_images,
        train=train,
        recalibrate=recalibrate,
        name=name,
        on_progress=on_progress,
    )


def gate_lesions(
    net: Net,
    data: Data = "digits",
    *,
    values: Sequence[GateValue] = (0.0, 1.0, "mean"),
    n_images: int | None = None,
    train: bool = False,
    recalibrate: int = 0,
    name: str | None = None,
    on_progress: Callable[[GateLesions, float], None] | None = None,
) -> GateLesions:
    """Accuracy with gates held; see :func:`explorer.probes.held_gates.gate_lesions`."""
    return held_gates.gate_lesions(
        net,
        load_data(data),
        values=values,
        n_images=n_images,
        train=train,
        recalibrate=recalibrate,
        name=name,
        on_progress=on_progress,
    )


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
    """Accuracy with these units in this order; see :mod:`explorer.probes.programs`."""
    net, dataset = matched(net, load_data(data))
    return programs.evaluate_program(
        net, dataset, program, gates=gates, n_images=n_images, recalibrate=recalibrate, name=name
    )


def layer_gradients(
    net: Net, data: Data = "digits", *, n_images: int = 256, seed: int = 0, name: str | None = None
) -> LayerGradients:
    """Gradient magnitude by layer; see :func:`explorer.probes.gradients.layer_gradients`."""
    net, dataset = matched(net, load_data(data))
    return gradients.layer_gradients(net, dataset, n_images=n_images, seed=seed, name=name)


def gate_means(
    net: Net, data: Data = "digits", *, n_images: int | None = 1000, name: str | None = None
) -> GateMeans:
    """Transform gates by unit; see :func:`explorer.probes.gates.gate_means`."""
    return gates.gate_means(net, load_data(data), n_images=n_images, name=name)


def path_gradients(
    net: Net,
    data: Data = "digits",
    *,
    n_images: int | None = 64,
    draws: int = 1,
    longest: int | None = None,
    seed: int = 0,
    name: str | None = None,
    on_progress: Callable[[PathGradients, float], None] | None = None,
) -> PathGradients:
    """Gradient by path length (Veit16 Fig 6); see :func:`explorer.probes.paths.path_gradients`."""
    net, dataset = matched(net, load_data(data))
    return paths.path_gradients(
        net,
        dataset,
        n_images=n_images,
        draws=draws,
        longest=longest,
        seed=seed,
        name=name,
        on_progress=on_progress,
    )


def unravelled_view(
    net: Net,
    data: Data = "digits",
    *,
    units: Sequence[str] | None = None,
    off: Collection[str] = (),
    n_images: int | None = None,
    name: str | None = None,
) -> UnravelledView:
    """Paths switched off (Veit16 Fig 1); see :func:`explorer.probes.unravelled.unravelled_view`."""
    net, dataset = matched(net, load_data(data))
    return unravelled.unravelled_view(
        net, dataset, units=units, off=off, n_images=n_images, name=name
    )


def gradient_terms(
    net: Net, data: Data = "digits", *, n_images: int = 128, seed: int = 0, name: str | None = None
) -> GradientTerms:
    """He16 Eq 5 at every unit; see :func:`explorer.probes.gradient_terms.gradient_terms`."""
    net, dataset = matched(net, load_data(data))
    return terms.gradient_terms(net, dataset, n_images=n_images, seed=seed, name=name)


def shortcut_scaling(
    net: str | NetSpec,
    data: Data = "digits",
    *,
    scales: Sequence[float] = terms.SCALES,
    n_images: int = 64,
    seed: int = 7,
) -> ShortcutScaling:
    """He16 Eq 8 against λ; see :func:`explorer.probes.gradient_terms.shortcut_scaling`."""
    dataset = load_data(data)
    spec = spec_of(net) if isinstance(net, str) else net
    spec = fit(spec, dataset.info.input_shape, len(dataset.info.classes))
    return terms.shortcut_scaling(spec, dataset, scales=scales, n_images=n_images, seed=seed)


def gradients_at_init(
    nets: Sequence[str | NetSpec] = at_init.FAMILIES,
    data: Data = "digits",
    *,
    depths: Sequence[int] = at_init.DEPTHS,
    batch_norm: Sequence[bool] = (True, False),
    seeds: Sequence[int] = (0, 1, 2),
    n_images: int = 64,
    on_progress: Callable[[GradientsAtInit, float], None] | None = None,
) -> GradientsAtInit:
    """Fresh nets against depth; see :func:`explorer.probes.gradients_at_init.gradients_at_init`."""
    return at_init.gradients_at_init(
        load_data(data),
        nets,
        depths=depths,
        batch_norm=batch_norm,
        seeds=seeds,
        n_images=n_images,
        on_progress=on_progress,
    )


def vanishing_causes(
    data: Data = "digits",
    *,
    layers: Layers = "conv",
    depths: Sequence[int] = vanishes.DEPTHS,
    seeds: Sequence[int] = (0, 1, 2),
    gain: float = vanishes.GAIN,
    width: int | None = None,
    order: Order = "full_preact",
    n_images: int = 32,
    on_progress: Callable[[VanishingCauses, float], None] | None = None,
) -> VanishingCauses:
    """Activation, weight scale and padding apart, against depth.

    See :func:`explorer.probes.vanishing.vanishing_causes`.
    """
    return vanishes.vanishing_causes(
        load_data(data),
        layers=layers,
        depths=depths,
        seeds=seeds,
        gain=gain,
        width=width,
        order=order,
        n_images=n_images,
        on_progress=on_progress,
    )


def layer_responses(
    net: Net, data: Data = "digits", *, n_images: int | None = 1000, name: str | None = None
) -> LayerResponses:
    """He15 Fig 7; see :func:`explorer.probes.responses.layer_responses`."""
    net, dataset = matched(net, load_data(data))
    return responses.layer_responses(net, dataset, n_images=n_images, name=name)


def branch_responses(
    net: Net, data: Data = "digits", *, n_images: int | None = 256, name: str | None = None
) -> BranchResponses:
    """Size and direction of each unit's F (Jastrzebski18), and what the last ReLU cuts (He16 §4.2).

    See :func:`explorer.probes.responses.branch_responses`.
    """
    net, dataset = matched(net, load_data(data))
    return responses.branch_responses(net, dataset, n_images=n_images, name=name)


def classifier_by_unit(
    net: Net, data: Data = "digits", *, n_images: int | None = None, name: str | None = None
) -> ClassifierByUnit:
    """The classifier after every unit of the last stage (Jastrzebski18).

    See :func:`explorer.probes.responses.classifier_by_unit`.
    """
    net, dataset = matched(net, load_data(data))
    return responses.classifier_by_unit(net, dataset, n_images=n_images, name=name)


def estimation_error(
    net: Net, data: Data = "digits", *, n_images: int | None = 256, name: str | None = None
) -> EstimationError:
    """Outputs against their stage's end (Greff17).

    See :func:`explorer.probes.responses.estimation_error`.
    """
    net, dataset = matched(net, load_data(data))
    return responses.estimation_error(net, dataset, n_images=n_images, name=name)


def gate_maps(
    net: Net,
    data: Data = "digits",
    *,
    n_images: int | None = None,
    train: bool = False,
    image: Image | None = 0,
    of_class: int | str | None = None,
    name: str | None = None,
) -> GateMaps:
    """SGS15 Fig 2 and 3; see :func:`explorer.probes.gates.gate_maps`."""
    return gates.gate_maps(
        net,
        load_data(data),
        n_images=n_images,
        train=train,
        image=image,
        of_class=of_class,
        name=name,
    )


def gate_distribution(
    net: Net, data: Data = "digits", *, n_images: int | None = 1000, name: str | None = None
) -> GateDistribution:
    """How gates are spread; see :func:`explorer.probes.gates.gate_distribution`."""
    return gates.gate_distribution(net, load_data(data), n_images=n_images, name=name)


def gate_image(
    net: Net,
    data: Data = "digits",
    image: Image = 0,
    *,
    channel: int | None = None,
    name: str | None = None,
) -> GateImage:
    """Where on an image gates are open; see :func:`explorer.probes.gates.gate_image`."""
    found, _ = gates.gate_image(net, load_data(data), image=image, channel=channel, name=name)
    return found


def attribute(
    net: Net,
    data: Data = "digits",
    image: Image = 0,
    *,
    method: Method = "integrated_gradients",
    unit: str | int | None = None,
    deleted: Sequence[str | int] = (),
    target: int | str = "predicted",
    baseline: Baseline = "black",
    steps: int | None = None,
    window: int | None = None,
    name: str | None = None,
) -> Attribution:
    """Which pixels carried a decision; see :func:`explorer.probes.attribution.attribute`."""
    from explorer.probes import attribution  # captum takes a second or two

    net, dataset = matched(net, load_data(data))
    return attribution.attribute(
        net,
        dataset,
        image,
        method=method,
        unit=unit,
        deleted=deleted,
        target=target,
        baseline=baseline,
        steps=steps,
        window=window,
        name=name,
    )


def unit_conductance(
    net: Net,
    data: Data = "digits",
    image: Image = 0,
    *,
    deleted: Sequence[str | int] = (),
    target: int | str = "predicted",
    baseline: Baseline = "black",
    steps: int | None = None,
    name: str | None = None,
) -> UnitConductance:
    """Which units carried it; see :func:`explorer.probes.attribution.unit_conductance`."""
    from explorer.probes import attribution

    net, dataset = matched(net, load_data(data))
    return attribution.unit_conductance(
        net,
        dataset,
        image,
        deleted=deleted,
        target=target,
        baseline=baseline,
        steps=steps,
        name=name,
    )


def activation_maps(
    net: Net,
    data: Data = "digits",
    image: Image = 0,
    *,
    units: Sequence[str | int] | None = None,
    part: Part = "output",
    channels: Channels = "strongest",
    k: int = 16,
    deleted: Sequence[str | int] = (),
    name: str | None = None,
) -> ActivationMaps:
    """Maps of units for one image; see :func:`explorer.probes.activations.activation_maps`."""
    net, dataset = matched(net, load_data(data))
    return activations.activation_maps(
        net,
        dataset,
        image,
        units=units,
        part=part,
        channels=channels,
        k=k,
        deleted=deleted,
        name=name,
    )


def feature_reuse(net: Net, *, scaled: bool = False, name: str | None = None) -> FeatureReuse:
    """A dense net's use of earlier layers; see :func:`explorer.probes.reuse.feature_reuse`."""
    return reuse.feature_reuse(net, scaled=scaled, name=name)


def propagation(
    net: Net,
    data: Data = "digits",
    *,
    n_images: int = 64,
    seeds: int | None = 5,
    name: str | None = None,
) -> Propagation:
    """Signal and gradient by unit; see :func:`explorer.probes.propagation.propagation`."""
    net, dataset = matched(net, load_data(data))
    return propagating.propagation(net, dataset, n_images=n_images, seeds=seeds, name=name)


def loss_surface(
    net: Net,
    data: Data = "digits",
    *,
    resolution: int = 51,
    span: float = 1.0,
    line: bool = False,
    n_images: int = 256,
    seed: int = 0,
    norm: SurfaceNorm = "running",
    known: LossSurface | None = None,
    name: str | None = None,
    on_progress: Callable[[LossSurface, float], None] | None = None,
) -> LossSurface:
    """The loss around the weights; see :func:`explorer.probes.surface.loss_surface`."""
    net, dataset = matched(net, load_data(data))
    return surface.loss_surface(
        net,
        dataset,
        resolution=resolution,
        span=span,
        line=line,
        n_images=n_images,
        seed=seed,
        norm=norm,
        known=known,
        name=name,
        on_progress=on_progress,
    )


def sensitivity(
    net: Net,
    data: Data = "digits",
    *,
    n_images: int | None = 200,
    nudge: float = 0.02,
    seed: int = 0,
    name: str | None = None,
) -> Sensitivity:
    """‖H‖ / ‖F‖ by unit, and more; see :func:`explorer.probes.sensitivity.sensitivity`."""
    net, dataset = matched(net, load_data(data))
    return amplifying.sensitivity(
        net, dataset, n_images=n_images, nudge=nudge, seed=seed, name=name
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
    seed: int = 7,
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
    seed: int = 7,
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
            "data": _data_spec(data),
            "training": training or RECIPES["one_cycle"],
            "seed": seed,
            "device": device,
        },
    )
    where = sweeping.new_folder() if folder is None else local_path(folder)
    return sweeping.Sweep(where, spec).run(processes=processes, on_progress=on_progress)


def _data_spec(data: str | Path | DataSpec) -> DataSpec:
    if isinstance(data, DataSpec):
        return data
    if isinstance(data, str) and data in DATASETS:
        return parse(DataSpec, {"name": data})
    folder = local_path(data, DataError)
    if os.path.isdir(folder):
        return parse(DataSpec, {"name": "folder", "path": str(folder)})
    raise DataError(
        f"There is no data set or folder {str(data)!r}: give {', '.join(DATASETS)}, or a folder "
        "with train/CLASS/*.png and test/CLASS/*.png."
    )
