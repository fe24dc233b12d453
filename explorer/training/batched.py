"""Fully connected lanes of one width trained together: every layer is one batched product.

Plain, residual and highway layers are one formula, y = a·h + b·x with h = act(W_H x + b_H):
a = 1 and b = 0 are plain, a = 1 and b = 1 residual, a = T(x) and b = 1 − T(x) highway (SGS15
Eq 3), where T = σ(W_T x + b_T) is one more matrix in the same product. A layer of a small net is
too little work to pay for its calls: here one call serves all lanes and seeds, and the backward
pass is written out, so that no graph is built and no memory is taken anew.

The nets' parameters become views of the stacked ones, so that evaluating, saving and measuring a
lane know nothing of all this. Matrices of the stack: H of every lane, then T of the highway ones,
which stand last among the lanes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.nets.highway import HighwayUnit
from explorer.nets.residual import ResidualUnit
from explorer.probes.norms import gradient_norms
from explorer.specs import PlainSpec, ResidualSpec
from explorer.training.lane import Batch, Lane, Separate

_ORDER = {"plain": 0, "residual": 1, "highway": 2}


def arrange(lanes: Sequence[Lane]) -> list[Separate | Together]:
    """Lanes that can be trained in one product together, the others each by itself."""
    found: list[Separate | Together] = [
        Separate(lane, why) for lane in lanes if (why := why_not(lane)) is not None
    ]
    fit = sorted((lane for lane in lanes if why_not(lane) is None), key=_likeness)
    found += [Together(list(group)) for _, group in groupby(fit, _likeness)]
    return found


def why_not(lane: Lane) -> str | None:
    """Why this lane cannot be part of a batched product; None where it can."""
    spec = lane.net.spec
    reasons = {
        "as its layers are convolutions": spec.layout != "fc",
        "as batch norm ties the images of a batch": spec.batch_norm,
        "as its units are drawn at random": lane.stochastic or lane.spec.units_per_batch,
        "as some of its units are deleted": bool(lane.deleted),
        "as it computes in bfloat16": lane.spec.precision != "float32",
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def _likeness(lane: Lane) -> tuple[object, ...]:
    spec = lane.net.spec
    assert isinstance(spec, (PlainSpec, ResidualSpec)) or spec.family == "highway"
    return (spec.width, len(lane.net.units), spec.activation)


class Together:
    """Trains several lanes (and seeds) in one batched product a layer."""

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self.lanes = tuple(sorted(lanes, key=lambda lane: _ORDER[lane.net.spec.family]))
        numbers = sorted({lane.index + 1 for lane in lanes})
        n = len(self.lanes)
        self.how = f"{n} net{'s' * (n > 1)} in one batched product, lanes {numbers}"
        families = [lane.net.spec.family for lane in self.lanes]
        self._m, gated = n, families.count("highway")
        self._plain = slice(0, families.count("plain"))
        self._residual = slice(self._plain.stop, n - gated)
        self._highway = slice(n - gated, n)
        self._gate = slice(n, n + gated)
        spec = self.lanes[0].net.spec
        assert not isinstance(spec, ResidualSpec) or spec.survival_prob == 1
        self._tanh = getattr(spec, "activation", "relu") == "tanh"
        nets = [lane.net for lane in self.lanes]
        self._stem = _Stack([[cast(nn.Linear, net.stem.linear) for net in nets]])
        self._head = _Stack([[cast(nn.Linear, net.head.linear) for net in nets]])
        self._hidden = _Stack(
            [
                [_transform(unit) for unit in units]
                + [_gate(unit) for unit in units if isinstance(unit, HighwayUnit)]
                for units in zip(*(net.units for net in nets), strict=True)
            ]
        )
        self._made: int | None = None  # images that the buffers are made for

    # ---------------------------------------------------------------------------- a step

    @torch.no_grad()
    def forward(self, batch: Batch, probing: bool) -> None:
        """States x_0 … x_U, answers h and gates T of all layers are kept for the way back."""
        self._attach()
        self._probing = probing
        images = torch.stack([batch.images[lane.replica].flatten(1) for lane in self.lanes])
        labels = torch.stack([batch.labels[lane.replica] for lane in self.lanes])
        self._make_buffers(labels.shape[1])
        for lane in self.lanes:
            lane.net.train()
        self._images = images
        first = self._x[0][: self._m]
        self._activate_(torch.baddbmm(*self._stem.terms(0, images), out=first))
        self._copy_gated(0)
        for u in range(len(self._hidden)):
            self._layer(u)
        last = self._x[-1][: self._m]
        logits = torch.baddbmm(*self._head.terms(0, last)).requires_grad_()
        smoothing = self.lanes[0].spec.label_smoothing
        with torch.enable_grad():
            losses = F.cross_entropy(
                logits.flatten(0, 1), labels.flatten(), label_smoothing=smoothing, reduction="none"
            )
            losses = losses.view_as(labels).mean(1)
            (self._dlogits,) = torch.autograd.grad(losses.sum(), logits)
        errors = (logits.detach().argmax(2) != labels).float().mean(1)
        self._losses = torch.stack([losses.detach(), errors], 1)  # (lanes, 2)

    def _layer(self, u: int) -> None:
        x, h, y = self._x[u], self._h[u], self._x[u + 1]
        torch.baddbmm(*self._hidden.terms(u, x), out=h)
        self._activate_(h[: self._m])
        gates, hw = h[self._gate].sigmoid_(), self._highway
        y[self._plain] = h[self._plain]
        torch.add(x[self._residual], h[self._residual], out=y[self._residual])
        torch.lerp(x[hw], h[hw], gates, out=y[hw])  # x + T·(h − x)
        self._copy_gated(u + 1)

    @torch.no_grad()
    def backward(self) -> None:
        m, hw, gate = self._m, self._highway, self._gate
        head, stem, hidden = self._head, self._stem, self._hidden
        head.gradients(0, self._dlogits, self._x[-1][:m])
        dy = torch.bmm(self._dlogits, head.weight[0])
        outputs, means = [], []
        for u in reversed(range(len(hidden))):
            x, h, dz = self._x[u], self._h[u], self._dz
            if self._probing:
                outputs.append(torch.linalg.vector_norm(dy, dim=(1, 2)))
                means.append(h[gate].mean((1, 2)))
            dz[:m] = dy
            t = h[gate]
            dz[hw] *= t
            torch.mul(dy[hw] * (h[hw] - x[hw]), t * (1 - t), out=dz[gate])
            direct = dy[hw] - dz[hw]  # dy·(1 − T)
            self._through_activation_(dz[:m], h[:m])
            hidden.gradients(u, dz, x)
            dx = torch.bmm(dz, hidden.weight[u], out=self._dx[u % 2])  # dy is in the other one
            dx[self._residual] += dy[self._residual]
            dx[hw] += direct
            dx[hw] += dx[gate]
            dy = dx[:m]
        self._through_activation_(dy, self._x[0][:m])
        stem.gradients(0, dy, self._images)
        self._outputs, self._means = outputs[::-1], means[::-1]

    def losses(self) -> list[list[float]]:
        """By lane: loss and error of the batch, once it has gone forward."""
        return cast(list[list[float]], self._losses.tolist())

    def numbers(self) -> list[Tensor]:
        """By lane: loss and error of the batch, then its measurements when probing."""
        if not self._probing:
            return list(self._losses)
        outputs = torch.stack(self._outputs, 1)  # (lanes, units)
        gated = torch.stack(self._means, 1)
        numbers = []
        for i, lane in enumerate(self.lanes):
            parts = [self._losses[i], gradient_norms(lane.weights), outputs[i]]
            if lane.gates:
                parts.append(gated[i - self._highway.start])
            numbers.append(torch.cat(parts))
        return numbers

    # ---------------------------------------------------------------------------- the rest

    def _attach(self) -> None:
        """Gradients stand where the lanes' optimisers look for them."""
        for stack in (self._stem, self._hidden, self._head):
            stack.attach()

    def _copy_gated(self, u: int) -> None:
        """The gates' matrices see the states of their lanes."""
        self._x[u][self._gate] = self._x[u][self._highway]

    def _activate_(self, h: Tensor) -> None:
        h.tanh_() if self._tanh else h.clamp_min_(0)

    def _through_activation_(self, d: Tensor, h: Tensor) -> None:
        if self._tanh:
            d.mul_(1 - h * h)
        else:
            torch.ops.aten.threshold_backward.grad_input(d, h, 0, grad_input=d)

    def _make_buffers(self, n: int) -> None:
        if self._made == n:
            return
        self._made = n
        layers, matrices, width = len(self._hidden), self._gate.stop, self._hidden.weight.shape[-1]
        made = self._hidden.weight.new_empty
        self._x = made(layers + 1, matrices, n, width)
        self._h = made(layers, matrices, n, width)
        self._dz, self._dx = made(matrices, n, width), made(2, matrices, n, width)


class _Stack:
    """The linear maps of all layers as one tensor of weights, (layers, matrices, out, in)."""

    def __init__(self, layers: Sequence[Sequence[nn.Linear]]) -> None:
        self._maps = layers
        self.weight = torch.stack([torch.stack([x.weight.detach() for x in row]) for row in layers])
        self.bias = torch.stack([torch.stack([_bias(x).detach() for x in row]) for row in layers])
        self._dweight, self._dbias = torch.zeros_like(self.weight), torch.zeros_like(self.bias)
        for u, row in enumerate(layers):
            for i, linear in enumerate(row):
                linear.weight.data, _bias(linear).data = self.weight[u, i], self.bias[u, i]
                linear.weight.grad = _bias(linear).grad = None

    def __len__(self) -> int:
        return len(self._maps)

    def terms(self, u: int, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """b, x and Wᵀ of layer ``u``, for ``baddbmm``; ``x`` is (matrices, N, in)."""
        return self.bias[u].unsqueeze(1), x, self.weight[u].mT

    def gradients(self, u: int, dz: Tensor, x: Tensor) -> None:
        """∂L/∂W and ∂L/∂b of layer ``u`` from ∂L/∂z (matrices, N, out) and x (matrices, N, in)."""
        torch.bmm(dz.mT, x, out=self._dweight[u])
        torch.sum(dz, 1, out=self._dbias[u])

    def attach(self) -> None:
        """Give every parameter its part of the gradients, where it has none."""
        for u, row in enumerate(self._maps):
            for i, linear in enumerate(row):
                if linear.weight.grad is None:
                    linear.weight.grad = self._dweight[u, i]
                    _bias(linear).grad = self._dbias[u, i]


def _bias(linear: nn.Linear) -> nn.Parameter:
    assert linear.bias is not None
    return linear.bias


def _transform(unit: nn.Module) -> nn.Linear:
    """The matrix of h: of the plain layer, of F, or of H."""
    if isinstance(unit, ResidualUnit):
        return cast(nn.Linear, unit.residual.linear)
    if isinstance(unit, HighwayUnit):
        return cast(nn.Linear, unit.transform.linear)
    return cast(nn.Linear, unit.linear)


def _gate(unit: HighwayUnit) -> nn.Linear:
    return cast(nn.Linear, unit.transform_gate.linear)
