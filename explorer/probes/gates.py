"""Gates by unit: T(x) of highway units (SGS15 Fig 2, 3), g(x) of gated shortcuts (He16 §3.1).

Purpose: how much does each unit replace (near 1) and how much does it carry on (near 0), on
average, for one image, for one class, in one place. Cost: one forward pass over the images; of
:func:`gate_image` one forward pass of one image. In evaluation mode, batch norm's statistics as
:mod:`explorer.probes.statistics` has them.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from explorer.data.dataset import Dataset
from explorer.errors import DataError, NotApplicableError
from explorer.nets import Net
from explorer.nets.layers import Gate
from explorer.nets.net import passed_by
from explorer.probes import walk
from explorer.probes.picture import Image, Picture, picture
from explorer.probes.select import check_fit, data_name, net_name, some_images
from explorer.probes.statistics import measuring
from explorer.probes.taps import tap
from explorer.results import Floats, GateDistribution, GateImage, GateMaps, GateMeans
from explorer.results.gates import GateKind

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
BINS = 40
_LOGITS = (-20.0, 20.0, 4000)  # least, greatest and number of fine bins: 0.01 of a logit each
Cancel = Callable[[], bool] | None


@dataclass(frozen=True)
class UnitGate:
    """A gate of the net.

    Attributes:
        unit: Name of its unit.
        name: Name of the module σ(W x + b).
        weights: Name of the layer W x + b.
    """

    unit: str
    name: str
    weights: str
    module: Gate

    @property
    def bias(self) -> Floats:
        """b, one value a channel or feature."""
        return _numpy(self.module.bias)


def unit_gates(net: Net) -> tuple[GateKind, list[UnitGate]]:
    """All gates of a net in forward order, and their kind.

    Raises:
        NotApplicableError: The net has none; the sentence names one that has.
    """
    for kind in ("transform", "shortcut"):
        found = []
        for unit, module in zip(net.unit_names, net.units, strict=True):
            gate = getattr(module, f"{kind}_gate", None)
            if isinstance(gate, Gate) and not passed_by(module):
                inner, _ = next(gate.named_children())
                name = f"{unit}.{kind}_gate"
                found.append(UnitGate(unit, name, f"{name}.{inner}", gate))
        if found:
            return kind, found
    raise NotApplicableError(
        f"A {net.spec.family} net has no transform gates; measure its gradients or responses "
        "instead, or choose a net with gates: digits_fc_highway_50, or "
        "'resnet_v1_20;shortcut=exclusive_gating'."
    )


def gate_means(
    net: Net,
    dataset: Dataset,
    *,
    n_images: int | None = 1000,
    name: str | None = None,
    cancelled: Cancel = None,
) -> GateMeans:
    """Mean and spread of the gate over test images and entries, unit by unit.

    Args:
        n_images: A fixed, class-balanced choice of so many test images; None takes all.
        name: What the result calls the net; None takes its token.

    Raises:
        NotApplicableError: The net has no gates.
        DataError: The images do not fit the net.
        Cancelled: ``cancelled``, asked before each chunk of images, said so.
    """
    kind, gates = unit_gates(net)
    images, labels = some_images(net, dataset, n_images)
    names = [gate.name for gate in gates]
    with (
        measuring(net, dataset, images, cancelled=cancelled) as used,
        torch.inference_mode(),
        tap(net, names, reduce=_moments) as taps,
    ):
        _run(net, dataset, images, cancelled)
    count, total, squares = torch.stack(
        [torch.stack(taps.outputs[gate]).sum(0) for gate in names], dim=1
    ).cpu()
    mean = total / count
    sd = (squares / count - mean.square()).clamp(min=0).sqrt()
    return GateMeans(
        net=net_name(net) if name is None else name,
        data=data_name(dataset),
        n_images=len(labels),
        units=tuple(gate.unit for gate in gates),
        mean=mean.numpy(),
        sd=sd.numpy(),
        bias=np.asarray([gate.bias.mean() for gate in gates], np.float64),
        gate=kind,
        statistics=used,
    )


def gate_maps(
    net: Net,
    dataset: Dataset,
    *,
    n_images: int | None = None,
    train: bool = False,
    image: Image | None = 0,
    of_class: int | str | None = None,
    name: str | None = None,
    cancelled: Cancel = None,
) -> GateMaps:
    """Layer × unit tables: biases before and after training, means, one sample, one class.

    SGS15 Fig 2 shows the biases, the mean over the training set, the gates of one sample and the
    outputs of the blocks for it; Fig 3 the mean over a class less the mean over all.

    Args:
        n_images: A fixed, class-balanced choice of so many images; None takes all.
        train: Take the mean over training images, as SGS15 does, not test images.
        image: The sample: position of a test image, or an image file; None leaves it out.
        of_class: Name or position of a class.

    Raises:
        NotApplicableError: The net has no gates.
        DataError: The images do not fit the net, or there is no such image or class.
        Cancelled: ``cancelled``, asked before each chunk of images, said so.
    """
    kind, gates = unit_gates(net)
    wanted = None if of_class is None else class_index(dataset, of_class)
    images, labels = some_images(net, dataset, n_images, train=train)
    sample = None if image is None else picture(dataset, image)
    names = [gate.name for gate in gates]
    with measuring(net, dataset, images, cancelled=cancelled) as used, torch.inference_mode():
        total, inside, of = _channel_sums(net, dataset, (images, labels), names, wanted, cancelled)
        with tap(net, [*names, *(gate.unit for gate in gates)], reduce=_by_channel) as taps:
            if sample is not None:
                _run(net, dataset, sample.pixels[None], None)
    mean = tuple(_numpy(value) / len(labels) for value in total)
    difference = None
    if wanted is not None:
        if not of:
            raise DataError(
                f"None of these {len(labels)} images is of the class "
                f"{dataset.info.classes[wanted]!r}; take more images."
            )
        pairs = zip(inside, mean, strict=True)
        difference = tuple(_numpy(value) / of - middle for value, middle in pairs)
    return GateMaps(
        net=net_name(net) if name is None else name,
        data=data_name(dataset),
        n_images=len(labels),
        images="train" if train else "test",
        gate=kind,
        units=tuple(gate.unit for gate in gates),
        bias_before=tuple(np.full_like(gate.bias, gate.module.initial_bias) for gate in gates),
        bias=tuple(gate.bias for gate in gates),
        mean=mean,
        class_name=None if wanted is None else dataset.info.classes[wanted],
        class_difference=difference,
        sample_name=None if sample is None else sample.name,
        sample=_of_sample(taps.outputs, names) if sample is not None else None,
        output=_of_sample(taps.outputs, [g.unit for g in gates]) if sample is not None else None,
        statistics=used,
    )


def gate_distribution(
    net: Net,
    dataset: Dataset,
    *,
    n_images: int | None = 1000,
    name: str | None = None,
    cancelled: Cancel = None,
) -> GateDistribution:
    """Quantiles and histogram of each unit's gate over test images and entries.

    Quantiles are read from counts of the logit W x + b in bins of 0.01, so that gates near 0 are
    as well resolved as those near ½: they are exact to within 0.01 of a logit.

    Args:
        n_images: A fixed, class-balanced choice of so many test images; None takes all.

    Raises:
        NotApplicableError: The net has no gates.
        DataError: The images do not fit the net.
        Cancelled: ``cancelled``, asked before each chunk of images, said so.
    """
    kind, gates = unit_gates(net)
    images, labels = some_images(net, dataset, n_images)
    names = [gate.weights for gate in gates]
    with (
        measuring(net, dataset, images, cancelled=cancelled) as used,
        torch.inference_mode(),
        tap(net, names, reduce=_counts) as taps,
    ):
        _run(net, dataset, images, cancelled)
    counts = np.stack([torch.stack(taps.outputs[gate]).sum(0).cpu().numpy() for gate in names])
    fine, coarse = counts[:, : _LOGITS[2]], counts[:, _LOGITS[2] :]
    return GateDistribution(
        net=net_name(net) if name is None else name,
        data=data_name(dataset),
        n_images=len(labels),
        gate=kind,
        units=tuple(gate.unit for gate in gates),
        levels=np.asarray(LEVELS, np.float64),
        quantiles=np.stack([_quantiles(row) for row in fine]),
        edges=np.linspace(0, 1, BINS + 1),
        share=coarse / coarse.sum(1, keepdims=True),
        statistics=used,
    )


def gate_image(
    net: Net,
    dataset: Dataset,
    *,
    image: Image = 0,
    channel: int | None = None,
    name: str | None = None,
) -> tuple[GateImage, Picture]:
    """Where on one image the gates are open: a map for each unit, and the image.

    Args:
        image: Position of a test image, or an image file.
        channel: Of the gates; None takes the mean over all of them.

    Raises:
        NotApplicableError: The net has no gates, or none with places (fully connected), or fewer
            channels.
        DataError: The images do not fit the net, or there is no such image.
    """
    kind, gates = unit_gates(net)
    check_fit(net, dataset)
    plan = {unit.name: unit for unit in net.blueprint.units}
    if len(plan[gates[0].unit].input_shape) == 1:
        raise NotApplicableError(
            "The gates of a fully connected net have no places on the image; look at its layer × "
            "unit tables, or choose a convolutional net, such as highway_25."
        )
    fewest = min(len(gate.bias) for gate in gates)
    if channel is not None and not 0 <= channel < fewest:
        raise NotApplicableError(
            f"There is no channel {channel} in every unit: choose one from 0 to {fewest - 1}, or "
            "none for the mean."
        )
    shown = picture(dataset, image)

    def maps(gate: Tensor) -> Tensor:
        return gate[0].mean(0) if channel is None else gate[0, channel].clone()

    names = [gate.name for gate in gates]
    with (
        measuring(net, dataset, shown.pixels[None]) as used,
        torch.inference_mode(),
        tap(net, names, reduce=maps) as taps,
    ):
        _run(net, dataset, shown.pixels[None], None)
    result = GateImage(
        net=net_name(net) if name is None else name,
        data=data_name(dataset),
        gate=kind,
        image_name=shown.name,
        channel=channel,
        units=tuple(gate.unit for gate in gates),
        maps=tuple(_numpy(taps.outputs[gate][0]) for gate in names),
        statistics=used,
    )
    return result, shown


def class_index(dataset: Dataset, of_class: int | str) -> int:
    """Position of a class by its name or position.

    Raises:
        DataError: There is none; the sentence says which there are.
    """
    names = dataset.info.classes
    if isinstance(of_class, str) and of_class in names:
        return names.index(of_class)
    try:
        index = int(of_class)
    except ValueError:
        index = -1
    if 0 <= index < len(names):
        return index
    near = [] if str(of_class).isdigit() else difflib.get_close_matches(str(of_class), names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {_some(names)}."
    raise DataError(f"{dataset.info.title} has no class {str(of_class)!r}: {hint}")


# ----------------------------------------------------------------------------------- helpers


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names) if len(names) <= 12 else f"{len(names)}, 0 to {len(names) - 1}"


def _channel_sums(
    net: Net,
    dataset: Dataset,
    chosen: tuple[Tensor, Tensor],
    names: list[str],
    wanted: int | None,
    cancelled: Cancel,
) -> tuple[list[Tensor], list[Tensor], int]:
    """Sums by channel over all images and over those of one class, gate by gate; that class's n."""
    total: list[Tensor] = []
    inside: list[Tensor] = []
    of = 0
    with tap(net, names, reduce=_by_channel) as taps:
        for part, truth in walk.chunks(net, dataset, chosen, kept=6, cancelled=cancelled):
            net(part)
            values = [taps.outputs[name].pop() for name in names]  # (N, channels) each
            mine = truth == (-1 if wanted is None else wanted)
            of += int(mine.sum())
            sums = [value.sum(0) for value in values]
            shares = [value[mine].sum(0) for value in values]
            total = [a + b for a, b in zip(total, sums, strict=True)] if total else sums
            inside = [a + b for a, b in zip(inside, shares, strict=True)] if inside else shares
    return total, inside, of


def _run(net: Net, dataset: Dataset, images: Tensor, cancelled: Cancel) -> None:
    unlabelled = torch.zeros(len(images), dtype=torch.int64)
    for x, _ in walk.chunks(net, dataset, (images, unlabelled), kept=6, cancelled=cancelled):
        net(x)


def _moments(gate: Tensor) -> Tensor:
    """Count, sum and sum of squares, in double precision where the device has it."""
    value = walk.wide(gate)
    count = torch.full((), gate.numel(), dtype=value.dtype, device=gate.device)
    return torch.stack([count, value.sum(), value.square().sum()])


def _by_channel(value: Tensor) -> Tensor:
    """(N, channels): means over positions, where there are any."""
    return walk.wide(value).flatten(2).mean(2) if value.dim() > 2 else walk.wide(value).clone()


def _counts(logit: Tensor) -> Tensor:
    """Counts of the logits in fine bins, and of their σ in the histogram's bins, one vector."""
    least, greatest, bins = _LOGITS
    flat = walk.wide(logit).flatten()
    fine = torch.histc(flat.clamp(least, greatest), int(bins), least, greatest)
    return torch.cat([fine, torch.histc(flat.sigmoid(), BINS, 0, 1)]).to(torch.int64)


def _quantiles(counts: Floats) -> Floats:
    """σ of the logits below which shares of ``LEVELS`` lie, linear within a bin."""
    least, greatest, bins = _LOGITS
    edges = np.linspace(least, greatest, int(bins) + 1)
    below = np.concatenate([[0.0], np.cumsum(counts)]) / counts.sum()
    logits = np.interp(LEVELS, below, edges)
    return np.asarray(1 / (1 + np.exp(-logits)), np.float64)


def _of_sample(outputs: dict[str, list[Tensor]], names: list[str]) -> tuple[Floats, ...]:
    return tuple(_numpy(outputs[name][0][0]) for name in names)


def _numpy(value: Tensor) -> Floats:
    return np.asarray(value.detach().double().cpu(), dtype=np.float64)
