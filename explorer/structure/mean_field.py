"""By what a layer multiplies the gradient on its way to the input, derived for plain nets.

In a wide plain net with fresh weights every layer's answers are normally distributed, so that
one number, their mean square q, tells what happens to signal and gradient (Poole et al. 2016;
Schoenholz et al. 2017, arXiv 1611.01232):

    q' = σ_w² s E[φ(√q z)²]         forward, z ~ N(0, 1)
    χ  = σ_w² s E[φ'(√q z)²]        backward: the gradient's RMS grows by √χ

with σ_w² the weights' variance times the fan-in (2 by He's rule, whose √χ is 1 for ReLUs), and s
the share of a kernel that lies on the map, which is below 1 where zeros are padded. Batch norm
divides by the standard deviation, so that scale and share drop out: χ = E[φ'(z)²] / Var φ(z),
π/(π − 1) for ReLUs (Yang et al. 2019, arXiv 1902.08129, whose limit is a large batch). No torch.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from explorer.structure.blueprint import Layer, blueprint
from explorer.structure.conventions import kernel_and_stride, same_padding
from explorer.structure.specs import Activation, NetSpec, PlainSpec, ResidualSpec

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(201)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


def shares_on_the_map(spec: NetSpec) -> dict[str, float]:
    """By convolution: of the places that its kernel takes, over all answers, those on the map.

    Zeros are padded at the others. For 3×3 on n×n: ((3n − 2) / 3n)²; 0.84, 0.69 and 0.44 for
    8, 4 and 2. 1 for what is not padded with zeros.
    """
    found, before = {}, None
    for layer in blueprint(spec).layers:
        if layer.kind == "conv":
            found[layer.name] = 1.0 if spec.padding != "zeros" else _on_the_map(layer, before)
        before = layer
    return found


def _on_the_map(layer: Layer, before: Layer | None) -> float:
    kernel, stride = kernel_and_stride(layer)
    padded = before is not None and before.kind == "pad"  # asymmetrically, by a layer of its own
    sizes = before.input_shape[1:] if before is not None and padded else layer.input_shape[1:]
    share = 1.0
    for given, made in zip(sizes, layer.output_shape[1:], strict=True):
        first = same_padding(given, kernel, stride)[0] if padded else kernel // 2
        taps = stride * np.arange(made)[:, None] + np.arange(kernel) - first
        share *= float(((taps >= 0) & (taps < given)).mean())
    return share


def padding_factor(spec: PlainSpec) -> float:
    """By what zeros at the edges multiply a plain net's gradient, all in all: √ of all shares."""
    shares = shares_on_the_map(spec)
    return math.prod(math.sqrt(shares.get(layer.name, 1.0)) for layer in _layers(spec)[1:])


def gradient_factor(spec: PlainSpec) -> float:
    """RMS of the gradient at the first layer's answer ÷ that at the last one's, derived."""
    factor, shares = 1.0, shares_on_the_map(spec)
    q = 1.0 if spec.batch_norm else _variance(spec, _layers(spec)[0])  # of unit images
    for layer in _layers(spec)[1:]:
        mean, square, slope = moments(spec.activation, 1.0 if spec.batch_norm else q)
        if spec.batch_norm:
            factor *= math.sqrt(slope / (square - mean**2))
            continue
        scale = _variance(spec, layer) * shares.get(layer.name, 1.0)
        factor *= math.sqrt(scale * slope)
        q = scale * square
    return factor


def _layers(spec: PlainSpec) -> list[Layer]:
    """Those before the classifier."""
    return list(blueprint(spec).weight_layers[:-1])


def _variance(spec: PlainSpec, layer: Layer) -> float:
    """σ_w²: fan-in times the variance of the weights as they are drawn."""
    he = 2.0
    if spec.init == "xavier":
        inputs, outputs = layer.input_shape[0], layer.output_shape[0]
        he = 2 * inputs / (inputs + outputs)
    return float(spec.init_gain**2 * he)


@lru_cache(maxsize=4096)
def moments(activation: Activation, q: float) -> tuple[float, float, float]:
    """(E[φ], E[φ²], E[φ'²]) of φ(√q z), z ~ N(0, 1)."""
    if activation == "relu":  # in closed form: its kink is hard on a quadrature
        return math.sqrt(q / (2 * math.pi)), q / 2, 0.5
    z = math.sqrt(q) * _NODES
    value = np.tanh(z) if activation == "tanh" else 1 / (1 + np.exp(-z))
    slope = 1 - value**2 if activation == "tanh" else value * (1 - value)
    return (
        float(_WEIGHTS @ value),
        float(_WEIGHTS @ value**2),
        float(_WEIGHTS @ slope**2),
    )


def doubling(spec: ResidualSpec) -> float:
    """By what a pre-activation unit without batch norm multiplies the signal's variance.

    Var(x + F) = Var(x) · (1 + the product of F's shares), averaged over the units that keep the
    shape, by geometric mean: He's rule alone doubles it, zeros at the edges take some of that.
    """
    logs, shares = [], shares_on_the_map(spec)
    for unit in blueprint(spec).units:
        if unit.input_shape == unit.output_shape:
            inside = [layer for layer in unit.layers if layer.branch == "residual"]
            added = math.prod(shares.get(layer.name, 1.0) for layer in inside)
            logs.append(math.log1p(added))
    return math.exp(float(np.mean(logs)))
