"""Fully connected lanes of one width trained together: every layer is one batched product.

Plain, residual and highway layers are one formula, y = a·h + b·x with h = act(W_H x + b_H):
a = 1 and b = 0 are plain, a = 1 and b = 1 residual, a = T(x) and b = 1 − T(x) highway (SGS15
Eq 3), where T = σ(W_T x + b_T) is one more matrix in the same product. A layer of a small net is
too little work to pay for its calls: here one call serves all lanes and seeds, the backward pass
is written out, so that no graph is built and no memory is taken anew, and each lane's optimiser
sees a handful of stacked tensors.

The nets' parameters, and their optimisers' momenta, become views of the stacked ones, so that
evaluating, saving and measuring a lane know nothing of all this. Matrices of the stack: H of every
lane, then T of the highway ones, which stand last among the lanes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.measuring.norms import gradient_norms
from explorer.nets.highway import HighwayUnit
from explorer.nets.residual import ResidualUnit
from explorer.structure.specs import DenseSpec
from explorer.training.lane import Batch, Lane, Separate
from explorer.training.schedule import make_optimizer, moments

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


def _likeness(lane: Lane) -> tuple[int, int, str]:
    spec = lane.net.spec
    assert not isinstance(spec, DenseSpec)  # those are never fully connected
    return spec.width, len(lane.net.units), spec.activation


class Together:
    """Trains several lanes (and seeds) in one batched product a layer."""

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self.lanes = tuple(sorted(lanes, key=lambda lane: _ORDER[lane.net.spec.family]))
        numbers = sorted({lane.index + 1 for lane in lanes})
        n = len(self.lanes)
        self.how = f"{n} net{'s' * (n > 1)} in one batched product, lanes {numbers}"
        families = [lane.net.spec.family for lane in self.lanes]
        gated = families.count("highway")
        self._m, self._first_gated = n, n - gated
        self._parts = {
            "all": slice(0, n),
            "plain": slice(0, families.count("plain")),
            "residual": slice(families.count("plain"), n - gated),
            "added": slice(families.count("plain"), n),  # of which y is not h itself
            "highway": slice(n - gated, n),
            "gate": slice(n, n + gated),
        }
        self._activation = _likeness(self.lanes[0])[2]
        nets = [lane.net for lane in self.lanes]
        self._stem = _Stack([[cast(nn.Linear, net.stem.linear)] for net in nets])
        self._head = _Stack([[cast(nn.Linear, net.head.linear)] for net in nets])
        self._hidden = _Stack(
            [[_transform(unit) for unit in net.units] for net in nets]
            + [[_gate(unit) for unit in net.units] for net in nets[self._first_gated :]]
        )
        self._images_made = 0
        for i, lane in enumerate(self.lanes):
            rows = [self._stem.row(i), self._hidden.row(i), self._head.row(i)]
            if lane.gates:
                rows.append(self._hidden.row(n + i - self._first_gated))
            lane.whole = _one_optimizer(lane, [pair for row in rows for pair in row])

    # ---------------------------------------------------------------------------- a step

    @torch.no_grad()
    def forward(self, batch: Batch, probing: bool) -> None:
        """States x_0 … x_U, answers h and gates T of all layers are kept for the way back."""
        self._probing = probing
        labels = torch.stack([batch.labels[lane.replica] for lane in self.lanes])
        self._images = torch.stack([batch.images[lane.replica].flatten(1) for lane in self.lanes])
        self._make_buffers(labels.shape[1])
        for stack in (self._stem, self._hidden, self._head):
            stack.attach()
        first = torch.baddbmm(*self._stem.terms(0, self._images))
        self._activate(first, self._x[0]["all"])
        self._x[0]["gate"].copy_(self._x[0]["highway"])
        for u in range(len(self._h)):
            self._layer(u)
        logits = torch.baddbmm(*self._head.terms(0, self._x[-1]["all"])).requires_grad_()
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
        torch.baddbmm(*self._hidden.terms(u, x["whole"]), out=h["whole"])
        self._activate(h["plain"], y["plain"])
        self._activate(h["added"], h["added"])
        torch.add(x["residual"], h["residual"], out=y["residual"])
        torch.lerp(x["highway"], h["highway"], h["gate"].sigmoid_(), out=y["highway"])
        y["gate"].copy_(y["highway"])  # the gates' matrices see the states of their lanes

    @torch.no_grad()
    def backward(self) -> None:
        self._head.gradients(0, self._dlogits, self._x[-1]["all"])
        dy = _parts(torch.bmm(self._dlogits, self._head.weight[:, 0]), self._parts)
        outputs, means = [], []
        for u in reversed(range(len(self._h))):
            x, h, dz, dx = self._x[u], self._h[u], self._dz, self._dx[u % 2]
            if self._probing:
                outputs.append(torch.linalg.vector_norm(dy["all"], dim=(1, 2)))
                means.append(h["gate"].mean((1, 2)))
            self._through(dy["plain"], self._x[u + 1]["plain"], dz["plain"])
            self._through(dy["residual"], h["residual"], dz["residual"])
            # y = x + T·(h − x): to T, to h, and straight to x.
            dt = torch.sub(h["highway"], x["highway"]).mul_(dy["highway"])
            torch.ops.aten.sigmoid_backward.grad_input(dt, h["gate"], grad_input=dz["gate"])
            dh = torch.mul(dy["highway"], h["gate"])
            straight = torch.sub(dy["highway"], dh)
            self._through(dh, h["highway"], dz["highway"])
            self._hidden.gradients(u, dz["whole"], x["whole"])
            torch.bmm(dz["whole"], self._hidden.of_layer(u), out=dx["whole"])
            dx["residual"].add_(dy["residual"])
            dx["highway"].add_(straight).add_(dx["gate"])
            dy = dx
        self._through(dy["all"], self._x[0]["all"], dy["all"])
        self._stem.gradients(0, dy["all"], self._images)
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
                parts.append(gated[i - self._first_gated])
            numbers.append(torch.cat(parts))
        return numbers

    # ---------------------------------------------------------------------------- the rest

    def _activate(self, z: Tensor, h: Tensor) -> None:
        """h = act(z)."""
        if self._activation == "relu":
            torch.clamp_min(z, 0, out=h)
        else:
            (torch.tanh if self._activation == "tanh" else torch.sigmoid)(z, out=h)

    def _through(self, dh: Tensor, h: Tensor, dz: Tensor) -> None:
        """dz = dh · act'(z), where h = act(z)."""
        if self._activation == "relu":
            torch.ops.aten.threshold_backward.grad_input(dh, h, 0, grad_input=dz)
        elif self._activation == "tanh":
            torch.ops.aten.tanh_backward.grad_input(dh, h, grad_input=dz)
        else:
            torch.ops.aten.sigmoid_backward.grad_input(dh, h, grad_input=dz)

    def _make_buffers(self, n: int) -> None:
        """Places for the states of ``n`` images, and every part of each that a step names."""
        if self._images_made == n:
            return
        self._images_made = n
        weight = self._hidden.weight
        matrices, layers, width, _ = weight.shape

        def made(count: int) -> list[dict[str, Tensor]]:
            whole = weight.new_empty(count, matrices, n, width)
            return [_parts(each, self._parts) for each in whole]

        self._x, self._h = made(layers + 1), made(layers)
        (self._dz,), self._dx = made(1), made(2)


def _parts(whole: Tensor, parts: dict[str, slice]) -> dict[str, Tensor]:
    """Views of (matrices, …) by name: of all lanes, of each family, of the gates."""
    return {"whole": whole, **{name: whole[part] for name, part in parts.items()}}


class _Stack:
    """Linear maps of several lanes as one tensor of weights, (matrices, layers, out, in).

    One matrix's layers lie side by side in memory; a layer's matrices are a view.
    """

    def __init__(self, maps: Sequence[Sequence[nn.Linear]]) -> None:
        self._maps = maps
        self.weight = torch.stack([torch.stack([x.weight.detach() for x in row]) for row in maps])
        self.bias = torch.stack([torch.stack([_bias(x).detach() for x in row]) for row in maps])
        self._dweight, self._dbias = torch.zeros_like(self.weight), torch.zeros_like(self.bias)
        layers = range(len(maps[0]))
        self._layers = [self.weight[:, u] for u in layers]
        self._forward = [(self.bias[:, u].unsqueeze(1), self.weight[:, u].mT) for u in layers]
        self._backward = [(self._dweight[:, u], self._dbias[:, u]) for u in layers]
        for i, row in enumerate(maps):
            for u, linear in enumerate(row):
                linear.weight.data, _bias(linear).data = self.weight[i, u], self.bias[i, u]
                linear.weight.grad = _bias(linear).grad = None

    def of_layer(self, u: int) -> Tensor:
        """W of one layer, (matrices, out, in)."""
        return self._layers[u]

    def terms(self, u: int, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """b, x and Wᵀ of layer ``u``, for ``baddbmm``; ``x`` is (matrices, N, in)."""
        bias, transposed = self._forward[u]
        return bias, x, transposed

    def gradients(self, u: int, dz: Tensor, x: Tensor) -> None:
        """∂L/∂W and ∂L/∂b of layer ``u`` from ∂L/∂z (matrices, N, out) and x (matrices, N, in)."""
        dweight, dbias = self._backward[u]
        torch.bmm(dz.mT, x, out=dweight)
        torch.sum(dz, 1, out=dbias)

    def attach(self) -> None:
        """Give every parameter its part of the gradients, where it has lost it."""
        if self._maps[0][0].weight.grad is not None and self._maps[-1][-1].weight.grad is not None:
            return
        for i, row in enumerate(self._maps):
            for u, linear in enumerate(row):
                linear.weight.grad = self._dweight[i, u]
                _bias(linear).grad = self._dbias[i, u]

    def row(self, i: int) -> Iterator[tuple[Tensor, Tensor, list[nn.Parameter]]]:
        """One matrix's weights of all layers, their gradient, and the parameters they consist of.

        Then the same for its biases.
        """
        weights = [cast(nn.Parameter, linear.weight) for linear in self._maps[i]]
        yield self.weight[i], self._dweight[i], weights
        yield self.bias[i], self._dbias[i], [_bias(x) for x in self._maps[i]]


def _one_optimizer(
    lane: Lane, rows: Sequence[tuple[Tensor, Tensor, list[nn.Parameter]]]
) -> torch.optim.Optimizer:
    """An optimiser of a few stacked tensors that does what the lane's own would do.

    They share their momenta: the lane's own holds views, and can take over at any time.
    """
    wholes, free = [], set()
    for whole, gradient, members in rows:
        parameter = nn.Parameter(whole)
        parameter.grad = gradient
        wholes.append(parameter)
        if not lane.free.isdisjoint(members):  # weights and biases are stacked apart
            free.add(parameter)
    optimizer = make_optimizer(lane.spec, wholes, lane.device, free)
    own = lane.optimizer.state
    for parameter, (_, _, members) in zip(wholes, rows, strict=True):
        for name in moments(lane.spec):
            kept = [own[member].get(name) for member in members]
            if name == "step":
                count = kept[0] if kept[0] is not None else torch.zeros((), device=lane.device)
                count = count.detach().clone()
                optimizer.state[parameter][name] = count
                views = [count] * len(members)
            else:
                stacked = torch.zeros_like(parameter, requires_grad=False)
                for place, value in zip(stacked, kept, strict=True):
                    if value is not None:
                        place.copy_(value)
                optimizer.state[parameter][name] = stacked
                views = list(stacked)
            for member, view in zip(members, views, strict=True):
                own[member][name] = view
    return optimizer


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


def _gate(unit: nn.Module) -> nn.Linear:
    assert isinstance(unit, HighwayUnit)
    return cast(nn.Linear, unit.transform_gate.linear)
