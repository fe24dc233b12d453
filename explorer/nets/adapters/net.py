"""A net of another library, taken apart, measured and held against the original."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count
from typing import cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from explorer.errors import NotApplicableError, SkipscopeError
from explorer.nets.adapters.own import Own, Where, near, reason_of, take_apart_where_told
from explorer.nets.adapters.parts import take_apart
from explorer.nets.adapters.pieces import Parts, Piece, UnitKind, kind_of
from explorer.nets.adapters.tokens import Attend
from explorer.nets.dense import DenseUnit
from explorer.nets.net import Net, keep_answers
from explorer.nets.plain import PlainUnit
from explorer.nets.residual import ResidualUnit
from explorer.structure.blueprint import Blueprint, Branch, Layer, LayerKind, Shape, UnitPlan
from explorer.structure.graph import shape_text
from explorer.structure.library_nets import ExternalSpec
from explorer.structure.specs import NetSpec, parse
from explorer.structure.trained_on import TrainedOn


class AdaptedNet(Net):
    """logits = head(unit_n(… unit_1(stem(x)))), with the units' names as their library has them.

    Its layers stand at ``UNIT.residual.conv1`` and the like, in units of ours, so that every
    instrument of a residual, dense or plain net works on it.

    Attributes:
        external: What is known of the net; :attr:`spec` is the same.
        told: Whether somebody said where its units are.
    """

    def __init__(self, parts: Parts, external: ExternalSpec, *, told: bool = False) -> None:
        super(Net, self).__init__()  # a Net's own constructor would build one of ours
        self.external = external
        self.told = told
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
        depths = [layer.depth_index or 0 for layer in self.blueprint.layers]
        self.external = external.model_copy(update={"depth": max(1, *depths)})
        self.spec = cast(NetSpec, self.external)
        self.blueprint = replace(self.blueprint, spec=self.spec)
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
        return AdaptedNet(parts, external, told=self.told).train(self.training)


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
    name: str | None = None,
    input_shape: Sequence[int] | None = None,
    class_names: Sequence[str] | None = None,
    mean: Sequence[float] = (),
    std: Sequence[float] = (),
    resize: int | None = None,
    stem: Where | None = None,
    units: Where | None = None,
    head: Where | None = None,
) -> AdaptedNet:
    """A net of torchvision or timm, or one that you built, ready for the instruments.

    It has copies of the module's layers: nothing that is done to it changes the module. Its
    logits are compared with the module's before it is given out (not on the meta device, where
    there are no values). What DataParallel, DistributedDataParallel, an average of weights or
    torch.compile wrapped is taken out first.

    Args:
        name: What results call it; None takes its class's name.
        input_shape: (channels, height, width) of one image.
        class_names: The answers' names, one a class.
        mean, std, resize: How its images are normalised and cut; see :class:`ExternalSpec`.
        units: Of a net of your own: names of its blocks, or patterns in which ``?`` and ``*`` stand
            for letters of one part of a name, ``"layer*.?"``; or a list of both, in order. What a
            block is made for is seen from what it computes; one that is none of the known kinds
            is taken as x + (block(x) − x), so that the branch is what the block adds. In one that
            changes the shape nothing can be deleted then.
        stem, head: What comes before the first unit and after the last: names of modules, modules
            and functions of a tensor, in order. None follows the net's own ``forward``.

    Raises:
        NotApplicableError: The net or one of its layers is not known, its parts one after the
            other do not give its own answer to 1e-5, or the images do not fit; one sentence with
            what is possible.
    """
    inner = unwrapped(module)
    name = type(inner).__name__ if name is None else str(name)
    shape = _image_shape(input_shape)
    try:
        whole = copy.deepcopy(inner).eval()
    except Exception as error:  # graphs, locks, whatever a module may hold
        raise NotApplicableError(
            f"{name} cannot be copied ({reason_of(error)}): give one whose weights are parameters, "
            "not results of a computation, and that holds nothing but layers."
        ) from None
    if next(whole.parameters(), None) is None:
        raise NotApplicableError(
            f"{name} has no parameters, so there is nothing in it to look at: give a net with "
            "layers that have weights."
        )
    if units is None and (stem is not None or head is not None):
        raise NotApplicableError(
            f"Say with units= which modules of {name} are its blocks, as in units='layer*.?'."
        )
    told = units is not None
    parts = None if told else _known(whole, name)
    classes = _classes(whole, name, shape, told=told)
    try:
        parts = parts or _told_parts(whole, name, shape, units, stem, head)
        external = _external(parts, whole, name, shape, classes, class_names, mean, std, resize)
        net = AdaptedNet(parts, external, told=told).eval()
        same = next(whole.parameters()).is_meta or _computes_the_same(whole, net, told=told)
    except SkipscopeError:
        raise
    except Exception as error:  # somebody else's layers have errors of their own
        raise NotApplicableError(
            f"The parts of {name} cannot compute one after the other what it does "
            f"({reason_of(error)}): {_SAY_UNITS}."
        ) from None
    if not same and told:
        raise NotApplicableError(
            f"The stem, the units in this order and the head do not give the own output of {name}; "
            "it draws at random in evaluation, keeps something from image to image, or its blocks "
            "act on each other: name larger units, or make its forward a chain of them."
        )
    if not same:
        raise NotApplicableError(
            f"{name} computes something else than its library's nets of that kind, so "
            f"its parts cannot be told; give one whose forward was not changed, or {_SAY_UNITS}."
        )
    return net.train(inner.training)


_SAY_UNITS = "say where its blocks are, as in adapt(net, units='layer*.?')"


def unwrapped(module: object) -> nn.Module:
    """The net itself, without what was put around it to train it.

    Raises:
        NotApplicableError: No net, or one whose code was compiled away.
    """
    while isinstance(module, nn.Module):
        around = type(module).__name__ in _WRAPPERS and type(module).__module__.startswith("torch.")
        inner = getattr(module, _WRAPPERS[type(module).__name__], None) if around else None
        if not isinstance(inner, nn.Module):
            break
        module = inner
    if isinstance(module, torch.jit.ScriptModule):
        raise NotApplicableError(
            "A ScriptModule is compiled, so that its layers cannot be looked at one by one: give "
            "the torch.nn.Module that it was made from."
        )
    if isinstance(module, nn.Module):
        return module
    if isinstance(module, type):
        raise NotApplicableError(
            f"{module.__name__} is a class, and adapt takes a net that was built of it: "
            f"{module.__name__}(…)."
        )
    raise NotApplicableError(
        f"adapt takes a net, a torch.nn.Module, not {type(module).__name__}; nets of torchvision "
        "and timm are loaded by name with load_external."
    )


# What torch puts around a net, and where the net is in it.
_WRAPPERS = {
    "DataParallel": "module",
    "DistributedDataParallel": "module",
    "AveragedModel": "module",
    "OptimizedModule": "_orig_mod",
}


def _image_shape(given: object) -> tuple[int, int, int]:
    whole = isinstance(given, (list, tuple, torch.Size)) and len(given) == 3
    if not whole or not all(
        type(side) is int and side > 0 for side in cast(Sequence[object], given)
    ):
        raise NotApplicableError(
            "Say with input_shape= what one image is, (channels, height, width) such as "
            f"(3, 32, 32), not {str(given)[:40]}."
        )
    return cast(tuple[int, int, int], tuple(cast(Sequence[int], given)))


def _known(whole: nn.Module, name: str) -> Parts:
    """The parts of a library's net."""
    try:
        return take_apart(whole, name)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise NotApplicableError(
            f"{name} is a {type(whole).__name__} that was changed ({reason_of(error)}), so that "
            f"its parts cannot be told; {_SAY_UNITS}."
        ) from None


def _told_parts(
    whole: nn.Module,
    name: str,
    shape: tuple[int, int, int],
    units: Where | None,
    stem: Where | None,
    head: Where | None,
) -> Parts:
    assert units is not None
    x = _some_images(whole, shape, 2)
    return take_apart_where_told(whole, name, x, units=units, stem=stem, head=head)


def _external(
    parts: Parts,
    whole: nn.Module,
    name: str,
    shape: tuple[int, int, int],
    classes: int,
    class_names: Sequence[str] | None,
    mean: Sequence[float],
    std: Sequence[float],
    resize: int | None,
) -> ExternalSpec:
    given = {"mean": mean, "std": std, "classes": class_names or ()}
    known = parse(TrainedOn, given)
    if class_names is not None and len(class_names) != classes:
        raise NotApplicableError(
            f"{name} gives {classes} answers, and {len(class_names)} class names were given: "
            "give one for each."
        )
    known.check(shape[0], classes, "mean and std", "class_names")
    return ExternalSpec(
        family=parts.family,
        name=name,
        input_shape=shape,
        classes=classes,
        batch_norm=any(isinstance(m, nn.BatchNorm2d) for m in whole.modules()),
        class_names=known.classes,
        mean=known.mean,
        std=known.std,
        resize=resize,
    )


def _classes(whole: nn.Module, name: str, input_shape: tuple[int, int, int], *, told: bool) -> int:
    """How many answers the net gives for such images; refuses images that do not fit."""
    try:
        logits = _answer(whole, input_shape, told=told)
    except Exception as error:  # each layer has errors of its own
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise NotApplicableError(
            f"{name} cannot take images of {shape_text(input_shape)} "
            f"({reason[0][:160].rstrip('.')}): give the shape "
            "that it was built for, such as 3×224×224."
        ) from None
    if not isinstance(logits, Tensor):
        raise NotApplicableError(
            f"{name} answers with a {type(logits).__name__} instead of a tensor of (images, "
            "classes); give a net that gives its logits alone."
        )
    if logits.dim() != 2:
        raise NotApplicableError(
            f"{name} answers with values of the shape {tuple(logits.shape)} instead of (images, "
            "classes); give a net with a classifier at its end."
        )
    return logits.shape[1]


def _answer(net: nn.Module, input_shape: tuple[int, int, int], *, told: bool) -> object:
    """One pass: without arithmetic, or, of a net that somebody built, in earnest.

    Its own code may make tensors of its own, which would not be on the meta device.
    """
    if told:
        with torch.no_grad():
            return net(_some_images(net, input_shape, 2))
    return _on_meta(net, input_shape)


def _some_images(net: nn.Module, shape: tuple[int, int, int], n: int) -> Tensor:
    """The same ones each time, where the net's weights are."""
    weight = next(net.parameters())
    x = torch.randn(n, *shape, generator=torch.Generator().manual_seed(0))
    return x.to(weight.device, weight.dtype)


def _on_meta(net: nn.Module, input_shape: tuple[int, int, int]) -> Tensor:
    """One pass without arithmetic: shapes alone."""
    named = [*net.named_parameters(), *net.named_buffers()]
    empty = {name: torch.empty_like(value, device="meta") for name, value in named}
    dtype = next(net.parameters()).dtype
    x = torch.empty(1, *input_shape, device="meta", dtype=dtype)
    with torch.no_grad():
        return cast(Tensor, functional_call(net, empty, (x,)))


def _computes_the_same(whole: nn.Module, net: AdaptedNet, *, told: bool) -> bool:
    """Whether the parts compute what the whole does."""
    x = _some_images(whole, net.external.input_shape, 2 if told else 1)
    with torch.inference_mode():
        wanted, given = whole(x), net(x)
    if told:
        return near(given, wanted)
    size = float(wanted.abs().max())
    bound = 1e-4 * size if math.isfinite(size) else 0.0
    return torch.allclose(given, wanted, rtol=1e-3, atol=bound, equal_nan=True)


# ------------------------------------------------------------------------------- blueprint


def _blueprint(net: AdaptedNet, parts: Parts) -> Blueprint:
    """What the net amounts to, measured on one pass."""
    shapes = _shapes(net)
    parameters = {id(value): name for name, value in net.named_parameters()}
    depth = count(1)

    def layer(path: str, kind: LayerKind, branch: Branch, *, chained: bool) -> Layer:
        module = net.get_submodule(path)
        given, output = shapes[module]
        weighty = kind in ("conv", "linear")
        return Layer(
            path,
            kind,
            branch,
            given,
            output,
            parameters=sum(p.numel() for p in module.parameters()),
            multiply_adds=_multiply_adds(module, given, output),
            depth_index=next(depth) if weighty and branch != "shortcut" else None,
            detail=_detail(module, given, output),
            chained=chained,
        )

    def layers(path: str, branch: Branch) -> Iterator[Layer]:
        module = net.get_submodule(path)
        kind = kind_of(module)
        if kind is not None:
            yield layer(path, kind, branch, chained=True)
        elif type(module).forward is nn.Sequential.forward:
            for name, _ in module.named_children():
                yield from layers(f"{path}.{name}", branch)
        else:
            yield from inside(path, branch)

    def inside(path: str, branch: Branch) -> Iterator[Layer]:
        """What somebody else's module called, in that order, and one for what is left of it."""
        module = net.get_submodule(path)
        found: list[Layer] = []
        called = [m for m in module.modules() if m in shapes and m is not module]
        for inner in sorted(called, key=list(shapes).index):
            kind = _kind_inside(inner)
            name = parameters.get(id(getattr(inner, "weight", None)), "").rpartition(".")[0]
            weighty = kind in ("conv", "linear")
            where = next(f"{path}.{at}" for at, one in module.named_modules() if one is inner)
            if kind is not None and (not weighty or name == where):
                found.append(layer(where, kind, branch, chained=False))
        yield from found
        rest = sum(p.numel() for p in module.parameters()) - sum(one.parameters for one in found)
        if rest > 0:
            given, output = shapes[module]
            detail = type(module.block if isinstance(module, Own) else module).__name__
            yield Layer(path, "module", branch, given, output, rest, detail=detail, chained=False)

    def unit(piece: Piece) -> UnitPlan:
        given, output = shapes[net.get_submodule(piece.name)]
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


def _shapes(net: AdaptedNet) -> dict[nn.Module, tuple[Shape, Shape]]:
    """Of every module that is called, what it takes and gives, in the order of the calls."""
    shapes: dict[nn.Module, tuple[Shape, Shape]] = {}
    begun: dict[nn.Module, None] = {}

    def begins(module: nn.Module, _: object) -> None:
        begun.setdefault(module)

    def note(module: nn.Module, given: tuple[object, ...], output: object) -> None:
        if given and isinstance(given[0], Tensor) and isinstance(output, Tensor):
            shapes[module] = tuple(given[0].shape[1:]), tuple(output.shape[1:])

    handles = []
    for module in net.modules():
        if module is not net:
            handles.append(module.register_forward_pre_hook(begins))
            handles.append(module.register_forward_hook(note))
    try:
        net.eval()
        _answer(net, net.external.input_shape, told=net.told)
    finally:
        for handle in handles:
            handle.remove()
    return {module: shapes[module] for module in begun if module in shapes}


def _kind_inside(module: nn.Module) -> LayerKind | None:
    """The kind of a layer inside of somebody else's module, where it has values of its own."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):  # also of a class derived from it
        return "conv" if isinstance(module, nn.Conv2d) else "linear"
    return kind_of(module)


def _multiply_adds(module: nn.Module, given: Shape, output: Shape) -> int:
    if isinstance(module, nn.Conv2d):
        return module.weight.numel() * math.prod(output[1:])
    if isinstance(module, nn.Linear):
        return module.weight.numel() * math.prod(given[:-1])  # of every token
    if isinstance(module, Attend):
        return 2 * output[0] ** 2 * output[1]  # q·kᵀ, and its product with v
    return 0


def _detail(module: nn.Module, given: Shape, output: Shape) -> str:
    if isinstance(module, nn.Conv2d):
        size = "×".join(map(str, module.kernel_size))
        strided = f", stride {module.stride[0]}" if module.stride[0] > 1 else ""
        groups = f", {module.groups} groups" if module.groups > 1 else ""
        return f"{size}{strided}, {given[0]}→{output[0]}{groups}"
    if isinstance(module, nn.Linear):
        return f"{given[-1]}→{output[-1]}"
    if isinstance(module, Attend):
        return f"{module.heads} heads"
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
    if any(True for _ in shortcut.parameters()):
        return "projection"
    pools = any(isinstance(module, nn.MaxPool2d) for module in shortcut.modules())
    return "max_pool" if pools else "zero_pad"


def _stride(given: Shape, output: Shape) -> int:
    return math.ceil(given[1] / output[1]) if len(given) == len(output) == 3 else 1
