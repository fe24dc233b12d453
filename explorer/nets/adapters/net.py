"""A net of another library, taken apart, measured and held against the original."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from itertools import count
from typing import cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from explorer.errors import NotApplicableError
from explorer.nets.adapters.parts import Parts, Piece, UnitKind, kind_of, take_apart
from explorer.nets.dense import DenseUnit
from explorer.nets.net import Net, keep_answers
from explorer.nets.plain import PlainUnit
from explorer.nets.residual import ResidualUnit
from explorer.structure.blueprint import Blueprint, Branch, Layer, Shape, UnitPlan
from explorer.structure.graph import shape_text
from explorer.structure.library_nets import ExternalSpec
from explorer.structure.specs import NetSpec
from explorer.structure.trained_on import TrainedOn


class AdaptedNet(Net):
    """logits = head(unit_n(… unit_1(stem(x)))), with the units' names as their library has them.

    Its layers stand at ``UNIT.residual.conv1`` and the like, in units of ours, so that every
    instrument of a residual, dense or plain net works on it.

    Attributes:
        external: What is known of the net; :attr:`spec` is the same.
    """

    def __init__(self, parts: Parts, external: ExternalSpec) -> None:
        super(Net, self).__init__()  # a Net's own constructor would build one of ours
        self.external = external
        known = TrainedOn(mean=external.mean, std=external.std, classes=external.class_names)
        self.trained_on = known or None
        # Where only family, shape and classes are asked, this stands for a spec of ours.
        self.spec = cast(NetSpec, external)
        self.stem = parts.stem
        for piece in parts.pieces:
            _place(self, piece.name, piece.module)
        self.head = parts.head
        self._names = tuple(piece.name for piece in parts.pieces)
        self.blueprint = _blueprint(self, parts)
        for plan, unit in zip(self.blueprint.units, self.units, strict=True):
            if isinstance(unit, PlainUnit):
                unit.deletable = plan.deletable

    @property
    def units(self) -> tuple[nn.Module, ...]:
        return tuple(self.get_submodule(name) for name in self._names)

    def for_classes(self, chosen: Sequence[int]) -> AdaptedNet:
        """A copy that tells only these classes apart, in this order: the others' answers are gone.

        Args:
            chosen: Positions among this net's classes.
        """
        own = copy.deepcopy(self)
        pieces = tuple(
            Piece(plan.name, cast(UnitKind, plan.kind), plan.stage, unit)
            for plan, unit in zip(own.blueprint.units, own.units, strict=True)
        )
        keep_answers(own.head, list(chosen))
        names = self.external.class_names
        external = self.external.model_copy(
            update={
                "classes": len(chosen),
                "class_names": tuple(names[i] for i in chosen) if names else (),
            }
        )
        plan = own.blueprint
        parts = Parts(external.family, own.stem, pieces, own.head, plan.stage_names)
        return AdaptedNet(parts, external).train(self.training)


class _Group(nn.Module):
    """A step in the path to a unit, such as ``layer1``; the net itself calls the units."""


def _place(root: nn.Module, path: str, module: nn.Module) -> None:
    *groups, last = path.split(".")
    for name in groups:
        if name not in dict(root.named_children()):
            root.add_module(name, _Group())
        root = root.get_submodule(name)
    root.add_module(last, module)


def adapt(
    module: nn.Module,
    *,
    name: str,
    input_shape: tuple[int, int, int],
    class_names: Sequence[str] | None = None,
    mean: Sequence[float] = (),
    std: Sequence[float] = (),
    resize: int | None = None,
) -> AdaptedNet:
    """A net of torchvision or timm as one that the instruments walk through.

    It has copies of the module's layers: nothing that is done to it changes the module. Its
    logits are compared with the module's before it is given out (not on the meta device, where
    there are no values).

    Args:
        name: What results call it.
        input_shape: (channels, height, width) of one image.
        class_names: The answers' names, one a class.
        mean, std, resize: How its images are normalised and cut; see :class:`ExternalSpec`.

    Raises:
        NotApplicableError: The net or one of its layers is not known, or the images do not fit;
            one sentence with what is possible.
    """
    whole = copy.deepcopy(module).eval()
    parts = take_apart(whole, name)
    classes = _classes(whole, name, input_shape)
    if class_names is not None and len(class_names) != classes:
        raise NotApplicableError(
            f"{name} gives {classes} answers, and {len(class_names)} class names were given: "
            "give one for each."
        )
    external = ExternalSpec(
        family=parts.family,
        name=name,
        depth=_depth(parts),
        input_shape=input_shape,
        classes=classes,
        batch_norm=any(isinstance(m, nn.BatchNorm2d) for m in whole.modules()),
        class_names=tuple(class_names or ()),
        mean=tuple(mean),
        std=tuple(std),
        resize=resize,
    )
    net = AdaptedNet(parts, external).eval()
    if not next(whole.parameters()).is_meta:
        _compare(whole, net)
    return net.train(module.training)


def _classes(whole: nn.Module, name: str, input_shape: tuple[int, int, int]) -> int:
    """How many answers the net gives for such images; refuses images that do not fit."""
    try:
        logits = _on_meta(whole, input_shape)
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise NotApplicableError(
            f"{name} cannot take images of {shape_text(input_shape)} ({reason}): give the shape "
            "that it was built for, such as 3×224×224."
        ) from None
    if logits.dim() != 2:
        raise NotApplicableError(
            f"{name} answers with values of the shape {tuple(logits.shape)} instead of (images, "
            "classes); give a net with a classifier at its end."
        )
    return logits.shape[1]


def _on_meta(net: nn.Module, input_shape: tuple[int, int, int]) -> Tensor:
    """One pass without arithmetic: shapes alone."""
    named = [*net.named_parameters(), *net.named_buffers()]
    empty = {name: torch.empty_like(value, device="meta") for name, value in named}
    dtype = next(net.parameters()).dtype
    x = torch.empty(1, *input_shape, device="meta", dtype=dtype)
    with torch.no_grad():
        return cast(Tensor, functional_call(net, empty, (x,)))


def _compare(whole: nn.Module, net: AdaptedNet) -> None:
    """Refuse a net whose parts do not compute what the whole does."""
    weight = next(whole.parameters())
    x = torch.randn(1, *net.external.input_shape, generator=torch.Generator().manual_seed(0))
    x = x.to(weight.device, weight.dtype)
    with torch.inference_mode():
        wanted, given = whole(x), net(x)
    size = float(wanted.abs().max())
    near = 1e-4 * size if math.isfinite(size) else 0.0
    if not torch.allclose(given, wanted, rtol=1e-3, atol=near, equal_nan=True):
        raise NotApplicableError(
            f"{net.external.name} computes something else than its library's nets of that kind, so "
            "its parts cannot be told; give one whose forward was not changed."
        )


# ------------------------------------------------------------------------------- blueprint


def _blueprint(net: AdaptedNet, parts: Parts) -> Blueprint:
    """What the net amounts to, measured on one pass without arithmetic."""
    shapes: dict[str, tuple[Shape, Shape]] = {}
    names = {module: name for name, module in net.named_modules()}

    def note(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        shapes[names[module]] = tuple(given[0].shape[1:]), tuple(output.shape[1:])

    handles = [module.register_forward_hook(note) for module in names if module is not net]
    try:
        net.eval()
        _on_meta(net, net.external.input_shape)
    finally:
        for handle in handles:
            handle.remove()

    depth = count(1)

    def layers(path: str, branch: Branch) -> Iterator[Layer]:
        module = net.get_submodule(path)
        kind = kind_of(module)
        if kind is None:
            for name, _ in module.named_children():
                yield from layers(f"{path}.{name}", branch)
            return
        given, output = shapes[path]
        weighty = isinstance(module, (nn.Conv2d, nn.Linear))
        yield Layer(
            path,
            kind,
            branch,
            given,
            output,
            parameters=sum(p.numel() for p in module.parameters()),
            multiply_adds=_multiply_adds(module, output),
            depth_index=next(depth) if weighty and branch != "shortcut" else None,
            detail=_detail(module, given, output),
        )

    def unit(piece: Piece) -> UnitPlan:
        given, output = shapes[piece.name]
        inner: list[Layer] = []
        shortcut = "none"
        if isinstance(piece.module, ResidualUnit):
            if not isinstance(piece.module.split, nn.Identity):
                inner += layers(f"{piece.name}.split", "main")
            inner += layers(f"{piece.name}.shortcut", "shortcut")
            inner += layers(f"{piece.name}.residual", "residual")
            inner.append(Layer(f"{piece.name}.add", "add", "join", output, output))
            if not isinstance(piece.module.after, nn.Identity):
                inner += layers(f"{piece.name}.after", "join")
            shortcut = _shortcut_kind(piece.module.shortcut)
        elif isinstance(piece.module, DenseUnit):
            inner += layers(f"{piece.name}.growth", "residual")
            grown = (piece.module.growth_rate, *given[1:])
            detail = f"{given[0]} + {grown[0]}"
            name = f"{piece.name}.concatenate"
            inner.append(Layer(name, "concatenate", "join", grown, output, detail=detail))
            shortcut = "concatenate"
        else:
            inner += layers(piece.name, "main")
        same = given == output
        alone = piece.kind in ("residual", "dense")  # something goes round it
        return UnitPlan(
            piece.name,
            piece.kind,
            piece.stage,
            given,
            output,
            tuple(inner),
            deletable=alone or (piece.kind == "plain" and same),
            swap_group="×".join(map(str, output)) if same and piece.kind != "transition" else None,
            shortcut=shortcut,
            stride=_stride(given, output),
        )

    stem = tuple(layers("stem", "main"))
    units = tuple(unit(piece) for piece in parts.pieces)
    head = tuple(layers("head", "main"))
    return Blueprint(net.spec, stem, units, head, parts.stage_names)


def _depth(parts: Parts) -> int:
    """Convolutions and linear maps one after another; projections stand beside them."""
    modules = [parts.stem, parts.head, *(piece.module for piece in parts.pieces)]
    aside = [p.module.shortcut for p in parts.pieces if isinstance(p.module, ResidualUnit)]
    return _weighty(modules) - _weighty(aside)


def _weighty(modules: Sequence[nn.Module]) -> int:
    return sum(isinstance(m, (nn.Conv2d, nn.Linear)) for some in modules for m in some.modules())


def _multiply_adds(module: nn.Module, output: Shape) -> int:
    if isinstance(module, nn.Conv2d):
        return module.weight.numel() * math.prod(output[1:])
    return module.weight.numel() if isinstance(module, nn.Linear) else 0


def _detail(module: nn.Module, given: Shape, output: Shape) -> str:
    if isinstance(module, nn.Conv2d):
        size = "×".join(map(str, module.kernel_size))
        strided = f", stride {module.stride[0]}" if module.stride[0] > 1 else ""
        groups = f", {module.groups} groups" if module.groups > 1 else ""
        return f"{size}{strided}, {given[0]}→{output[0]}{groups}"
    if isinstance(module, nn.Linear):
        return f"{given[0]}→{output[0]}"
    if kind_of(module) == "activation":
        return type(module).__name__.lower()
    if isinstance(module, (nn.MaxPool2d, nn.AvgPool2d)):
        side, step = _first(module.kernel_size), _first(module.stride)
        return f"{side}×{side}, stride {step}"
    if isinstance(module, nn.AdaptiveAvgPool2d):
        return "global" if output[1:] == (1, 1) else f"to {shape_text(output[1:])}"
    if isinstance(module, nn.Dropout):
        return f"drop {module.p:g}"
    return ""


def _first(value: int | tuple[int, ...]) -> int:
    return value if isinstance(value, int) else value[0]


def _shortcut_kind(shortcut: nn.Module) -> str:
    if isinstance(shortcut, nn.Identity):
        return "identity"
    convolves = any(isinstance(module, nn.Conv2d) for module in shortcut.modules())
    return "projection" if convolves else "max_pool"


def _stride(given: Shape, output: Shape) -> int:
    return math.ceil(given[1] / output[1]) if len(given) == len(output) == 3 else 1
