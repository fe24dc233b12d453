"""The small modules that the families share."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from explorer.structure.specs import Activation


def conv(inputs: int, maps: int, kernel: int, *, stride: int = 1, bias: bool) -> nn.Conv2d:
    """A convolution that keeps the size (divides it by ``stride``, rounding up)."""
    return nn.Conv2d(inputs, maps, kernel, stride=stride, padding=kernel // 2, bias=bias)


def activation(kind: Activation) -> nn.Module:
    """A fresh module: no two calls of a net share one, so that hooks tell them apart."""
    kinds: dict[Activation, type[nn.Module]] = {
        "relu": nn.ReLU,
        "tanh": nn.Tanh,
        "sigmoid": nn.Sigmoid,
    }
    return kinds[kind]()


def named(layers: Iterable[tuple[str, nn.Module]]) -> nn.Sequential:
    """A chain whose members have names; an empty one passes its input on."""
    return nn.Sequential(OrderedDict(layers))


def fully_connected(
    inputs: int, width: int, kind: Activation, *, batch_norm: bool
) -> list[tuple[str, nn.Module]]:
    """act(Wx + b), or act(BN(Wx)): (N, inputs) → (N, width)."""
    layers: list[tuple[str, nn.Module]] = [
        ("linear", nn.Linear(inputs, width, bias=not batch_norm))
    ]
    if batch_norm:
        layers.append(("bn", nn.BatchNorm1d(width)))
    return [*layers, ("act", activation(kind))]


def conv_step(
    inputs: int,
    maps: int,
    kind: Activation,
    *,
    kernel: int = 3,
    stride: int = 1,
    batch_norm: bool,
    number: str = "",
) -> list[tuple[str, nn.Module]]:
    """conv, BN, activation: (N, inputs, H, W) → (N, maps, ⌈H / stride⌉, ⌈W / stride⌉)."""
    layers: list[tuple[str, nn.Module]] = [
        (f"conv{number}", conv(inputs, maps, kernel, stride=stride, bias=not batch_norm))
    ]
    if batch_norm:
        layers.append((f"bn{number}", nn.BatchNorm2d(maps)))
    return [*layers, (f"act{number}", activation(kind))]


def imagenet_stem(
    channels: int, maps: int, kind: Activation, *, activates: bool, batch_norm: bool
) -> nn.Sequential:
    """7×7 of stride 2, BN and activation unless the first unit opens with them, 3×3 max pool.

    (N, channels, H, W) → (N, maps, ⌈H / 4⌉, ⌈W / 4⌉) (He15 Table 1).
    """
    layers = conv_step(channels, maps, kind, kernel=7, stride=2, batch_norm=batch_norm)
    kept = layers if activates else layers[:1]
    return named([*kept, ("pool", nn.MaxPool2d(3, stride=2, padding=1))])


# The modules from here to Gate, but for the norms, stand in exported files as they do here, only
# without extra_repr (explorer.nets.export): their lines are short, their docstrings need no other.


# (N, C, H, W) → what a convolution of this kernel and stride, without padding, makes (⌈H / stride⌉,
# ⌈W / stride⌉) of; the sizes are those of same_padding (explorer.structure.conventions).
class SamePad(nn.Module):
    """A margin around the maps, as TensorFlow's "same": an odd pixel goes after."""

    def __init__(self, kernel: int, stride: int, mode: str = "constant") -> None:
        super().__init__()
        self.kernel = kernel
        self.stride = stride
        self.mode = mode

    def forward(self, x: Tensor) -> Tensor:
        around = []
        for size in (x.shape[3], x.shape[2]):
            steps = -(-size // self.stride) - 1
            total = max(steps * self.stride + self.kernel - size, 0)
            around += [total // 2, total - total // 2]
        return F.pad(x, around, self.mode)

    def extra_repr(self) -> str:
        return f"kernel={self.kernel}, stride={self.stride}"


class _ShiftNorm(_BatchNorm):
    """Batch norm that shifts and does not scale (γ = 1): (x − mean) / √(var + ε) + β."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        *,
        device: torch.device | None = None,
    ) -> None:
        super().__init__(num_features, eps, momentum, device=device)
        self.register_parameter("weight", None)

    def reset_parameters(self) -> None:
        self.reset_running_stats()
        nn.init.zeros_(self.bias)


class ShiftNorm1d(_ShiftNorm, nn.BatchNorm1d):
    """Of (N, features)."""


class ShiftNorm2d(_ShiftNorm, nn.BatchNorm2d):
    """Of (N, C, H, W)."""


def scale_of(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> Tensor:
    """γ, one value a channel; ones where the norm does not scale."""
    weight: Tensor | None = norm.weight
    return torch.ones_like(norm.bias) if weight is None else weight


# He15 §3.3: (N, C, H, W) → (N, C + extra, ⌈H / stride⌉, ⌈W / stride⌉).
class ZeroPad(nn.Module):
    """Option A: take every stride-th pixel, add maps of zeros; no parameters."""

    def __init__(self, extra: int, stride: int, before: int = 0) -> None:
        super().__init__()
        self.extra = extra
        self.stride = stride
        self.before = before

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, :, :: self.stride, :: self.stride]
        after = self.extra - self.before
        return F.pad(x, (0, 0, 0, 0, self.before, after))

    def extra_repr(self) -> str:
        return f"extra={self.extra}, stride={self.stride}, before={self.before}"


# (N, C, H, W) → (N, maps, H, W).
class LastMaps(nn.Module):
    """The last maps of a concatenation."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.maps = maps

    def forward(self, x: Tensor) -> Tensor:
        return x[:, -self.maps :]

    def extra_repr(self) -> str:
        return f"{self.maps}"


# He16 Eq 7.
class Scale(nn.Module):
    """Multiplies by a constant."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x

    def extra_repr(self) -> str:
        return f"{self.factor:g}"


# SD16 Eqs 2 and 5: b·F with b ~ Bernoulli(p) in training, p·F in testing. One b for the whole
# batch. The branch is computed either way, so that a dropped unit has gradients of zero, not none.
class Survival(nn.Module):
    """Stochastic depth: in training the branch stays with this probability."""

    def __init__(self, prob: float) -> None:
        super().__init__()
        self.prob = prob

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return self.prob * x
        return (torch.rand((), device=x.device) < self.prob).to(x.dtype) * x

    def extra_repr(self) -> str:
        return f"prob={self.prob:.3g}"


class Gate(nn.Sequential):
    """σ(W x + b), (N, C, H, W) or (N, features) → the same shape, values in (0, 1)."""

    def __init__(self, name: str, weight_layer: nn.Conv2d | nn.Linear, bias: float) -> None:
        super().__init__(OrderedDict([(name, weight_layer), ("sigmoid", nn.Sigmoid())]))
        self.initial_bias = bias

    @property
    def bias(self) -> Tensor:
        """b, one value per map or feature."""
        layer = self[0]
        assert isinstance(layer, (nn.Conv2d, nn.Linear))
        assert layer.bias is not None
        return layer.bias
