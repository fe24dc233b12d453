"""What programs for the same net do differently: biases, batch norm's scale, "same" padding.

The papers leave these open, and libraries settle them in their own way. :func:`follow` writes
a spec's choices (``conv_bias``, ``norm_scale``, ``asymmetric_padding``) into its blueprint, and
:mod:`explorer.nets.conventions` into its modules. No torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # which calls this module
    from explorer.structure.blueprint import Blueprint, Layer
    from explorer.structure.specs import NetSpec

WITH_BIAS = "with bias"
NO_SCALE = "without scale"


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """How many zeros TensorFlow's "same" puts before and after ``size`` pixels.

    So that ⌈size / stride⌉ answers come out; where their number is odd, one more after.
    """
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def strides_over(layer: Layer) -> bool:
    """Whether a convolution's or pool's windows overlap and are further apart than one pixel."""
    if "×" not in layer.detail:  # over the whole map
        return False
    kernel, stride = kernel_and_stride(layer)
    return kernel > stride > 1


def kernel_and_stride(layer: Layer) -> tuple[int, int]:
    """The sides of a convolution's or pool's kernel and steps, out of ``3×3, stride 2, 16→32``."""
    kernel, _, rest = layer.detail.partition("×")
    _, strided, after = rest.partition("stride ")
    return int(kernel), int(after.partition(",")[0]) if strided else 1


def follow(plan: Blueprint) -> Blueprint:
    """The blueprint with what its spec chooses of all this."""
    spec = plan.spec
    if (spec.conv_bias, spec.norm_scale, spec.asymmetric_padding) == ("usual", True, "none"):
        return plan
    return replace(
        plan,
        stem=tuple(_followed(spec, plan.stem, in_unit=False)),
        units=tuple(
            replace(unit, layers=tuple(_followed(spec, unit.layers, unit.kind != "transition")))
            for unit in plan.units
        ),
        head=tuple(_followed(spec, plan.head, in_unit=False)),
    )


def sentences(spec: NetSpec) -> tuple[str, ...]:
    """What a net does otherwise than is usual in PyTorch and than the papers' nets do here."""
    said = [
        {
            "usual": "",
            "unnormalised": "Convolutions that no batch norm follows have biases.",
            "units": "All convolutions inside the units have biases.",
            "all": "All convolutions have biases.",
        }[spec.conv_bias],
        {
            "none": "",
            "pools": f"The stem's max pool {_PADS}",
            "all": f"What has a stride of 2 {_PADS}",
        }[spec.asymmetric_padding],
    ]
    if getattr(spec, "bare_frame", False):
        said.append("Neither the stem nor the projection has batch norm.")
        if getattr(spec, "order", "") == "full_preact":
            said.append(
                "The first unit opens with batch norm and activation, the projection takes the "
                "unit's raw input, and no activation follows the last batch norm."
            )
    if spec.batch_norm and not spec.norm_scale:
        said.append("Batch norm shifts and does not scale.")
    fields = type(spec).model_fields
    for name, words in _NUMBERS.items():
        value, usual = getattr(spec, name), fields[name].default
        if spec.batch_norm and value != usual:
            said.append(f"{words} {_written_out(value)} (usually {_written_out(usual)}).")
    if spec.init == "xavier_uniform":
        said.append("Weights start from Glorot's uniform distribution (usually from He's).")
    return tuple(sentence for sentence in said if sentence)


_PADS = (
    "pads an even size after its end alone, not on both sides, as TensorFlow's 'same' padding does."
)
_NUMBERS = {
    "norm_eps": "Batch norm adds to the variance an ε of",
    "norm_decay": "At each step batch norm keeps of its running statistics a share of",
}


def _followed(spec: NetSpec, layers: Sequence[Layer], in_unit: bool) -> Iterator[Layer]:
    normalised = _normalised(layers)
    for layer in layers:
        if layer.kind in ("conv", "linear"):
            chosen = {
                "usual": False,
                "unnormalised": layer.name not in normalised,
                "units": in_unit,
                "all": True,
            }[spec.conv_bias]
            if chosen:
                layer = _with_bias(layer)
        if layer.kind == "conv" and spec.asymmetric_padding == "all" and strides_over(layer):
            pad = _pad(layer)
            yield pad
            own = layer.detail.replace(f", {spec.padding} padding", "")  # that is the pad's now
            layer = replace(layer, input_shape=pad.output_shape, detail=own)
        if layer.kind == "max_pool" and spec.asymmetric_padding != "none" and strides_over(layer):
            layer = replace(layer, detail=f"{layer.detail}, {_ends(_around(layer))}")
        if layer.kind == "batch_norm" and not spec.norm_scale:
            layer = replace(layer, parameters=layer.output_shape[0], detail=NO_SCALE)
        yield layer


def _normalised(layers: Sequence[Layer]) -> set[str]:
    """Names of layers that a batch norm follows directly, in their own branch."""
    branches: dict[str, list[Layer]] = {}
    for layer in layers:
        branches.setdefault(layer.branch, []).append(layer)
    return {
        before.name
        for inside in branches.values()
        for before, after in pairwise(inside)
        if after.kind == "batch_norm"
    }


def _with_bias(layer: Layer) -> Layer:
    weights = layer.multiply_adds // math.prod(layer.output_shape[1:])
    if layer.parameters > weights:
        return layer
    *before, sizes = layer.detail.split(", ")
    return replace(
        layer,
        parameters=weights + layer.output_shape[0],
        detail=", ".join([*before, WITH_BIAS, sizes]),
    )


def _around(layer: Layer) -> list[tuple[int, int]]:
    """Zeros before and after the rows, and the columns, of what a layer gets."""
    return [same_padding(size, *kernel_and_stride(layer)) for size in layer.input_shape[1:]]


def _pad(conv: Layer) -> Layer:
    around = _around(conv)
    (channels, height, width), (rows, columns) = conv.input_shape, around
    name = conv.name.rpartition(".")[2].replace("conv", "pad")
    return replace(
        conv,
        name=f"{conv.name.rpartition('.')[0]}.{name}",
        kind="pad",
        output_shape=(channels, height + sum(rows), width + sum(columns)),
        parameters=0,
        multiply_adds=0,
        depth_index=None,
        detail=_ends(around),
    )


def _ends(around: Sequence[tuple[int, int]]) -> str:
    """``0 before, 1 after``; rows and columns each, where they differ."""
    words = list(dict.fromkeys(f"{before} before, {after} after" for before, after in around))
    return words[0] if len(words) == 1 else f"rows {words[0]}, columns {words[1]}"


def _written_out(value: float) -> str:
    """ "0.00001": small numbers as people write them."""
    return f"{value:.9f}".rstrip("0").rstrip(".")
