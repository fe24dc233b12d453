"""Export as code: one PyTorch file that builds a net of ours, to read, keep and train.

The text is written from the net's own modules, so it cannot differ from them: what all units
share is written once, numbers that vary become arguments, and what only some units have stands
under the condition that tells them apart. Options that were not chosen leave no trace.
"""

from __future__ import annotations

import json
import keyword
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations, groupby, pairwise

import numpy as np
import torch
from torch import nn

from explorer.blueprint import BOTTLENECK_EXPANSION, Blueprint, UnitPlan, blueprint
from explorer.errors import SpecError
from explorer.graph import shape_text
from explorer.names import title_of, token_of
from explorer.nets.dense import DenseUnit
from explorer.nets.highway import HighwayUnit
from explorer.nets.layers import (
    Gate,
    LastMaps,
    SamePad,
    Scale,
    ShiftNorm1d,
    ShiftNorm2d,
    Survival,
    ZeroPad,
)
from explorer.nets.net import Net, Stage
from explorer.nets.residual import ResidualUnit
from explorer.nets.source import Call, Code, Part, call, docstring, lines, listed, one_line
from explorer.specs import HighwaySpec, NetSpec, ResidualSpec

Number = int | float | bool


def export_code(
    spec: NetSpec, *, class_name: str | None = None, weights: str = "weights.safetensors"
) -> str:
    """The source of one self-contained file that builds the net of ``spec``.

    Its modules have the names of ours, so that it loads the same weights strictly.

    Args:
        class_name: What the net's class is called; None makes a name of the net's title.
        weights: File name of the weights in the example that loads them.

    Raises:
        SpecError: ``class_name`` cannot be a name, or is taken in the file.
    """
    plan = blueprint(spec)
    with torch.device("meta"):  # no memory, no time: only the structure matters
        net = Net(plan)
    name = _class_name(plan) if class_name is None else class_name
    return _File(net, name, weights).text()


def _class_name(plan: Blueprint) -> str:
    """``ResNet v2 56, width 8`` → ``ResNetV2_56``."""
    words = re.findall(r"[A-Za-z0-9]+", title_of(plan.spec).split(",")[0])
    name = ""
    for word in words:
        both_digits = name[-1:].isdigit() and word[:1].isdigit()
        name += ("_" if both_digits else "") + word[:1].upper() + word[1:]
    return name if name[:1].isalpha() else f"Net{name}"


# ---------------------------------------------------------------------------- units of a kind


@dataclass
class _Kind:
    """All units of one class: the rows of a table whose columns become the class's arguments.

    Attributes:
        name: Of the class in the file.
        columns: By variable; one value a unit.
        used: Variables that the class's text has taken up; ``inner`` is the narrow width inside a
            bottleneck, which follows from ``outputs``.
    """

    name: str
    plans: list[UnitPlan] = field(default_factory=list)
    modules: list[nn.Module] = field(default_factory=list)
    columns: dict[str, list[Number]] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def tabulate(self, first: UnitPlan) -> None:
        """Fill ``columns``; ``first`` is the net's first unit."""
        inputs: list[Number] = [plan.input_shape[0] for plan in self.plans]
        outputs: list[Number] = [plan.output_shape[0] for plan in self.plans]
        if isinstance(self.modules[0], DenseUnit):
            growths = [m.growth_rate for m in self.modules if isinstance(m, DenseUnit)]
            self.columns = {"inputs": inputs, "growth_rate": list(growths)}
        elif inputs == outputs:
            flat = len(self.plans[0].output_shape) == 1
            self.columns = {"width" if flat else "maps": inputs}
        else:
            self.columns = {"inputs": inputs, "outputs": outputs}
        self.columns["stride"] = [plan.stride for plan in self.plans]
        kernels = [_kernel(module) for module in self.modules]
        if len(set(kernels)) > 1 and isinstance(self.modules[0], HighwayUnit):
            self.columns["kernel"] = kernels
        self.columns["first"] = [plan is first for plan in self.plans]
        self.columns["position"] = [i + 1 for i in range(len(self.plans))]

    def rows(self) -> list[int]:
        return list(range(len(self.plans)))

    # -------------------------------------------------------------------- numbers as text

    def maps(self, values: Sequence[Number], rows: Sequence[int]) -> str:
        """A number of maps or features, as an expression of the class's arguments."""
        forms: list[tuple[str, list[Number]]] = [
            (name, self.columns[name])
            for name in ("inputs", "outputs", "maps", "width", "growth_rate")
            if name in self.columns
        ]
        if "growth_rate" in self.columns:
            growth = self.columns["growth_rate"]
            forms.append(("4 * growth_rate", [4 * k for k in growth]))
        if "outputs" in self.columns:
            forms.append(("inner", [n // BOTTLENECK_EXPANSION for n in self.columns["outputs"]]))
        return self._expressed(values, rows, forms)

    def more(self, values: Sequence[Number], rows: Sequence[int]) -> str:
        """By how many maps a unit widens, likewise."""
        ends = zip(self.columns["inputs"], self.columns["outputs"], strict=True)
        return self._expressed(values, rows, [("outputs - inputs", [b - a for a, b in ends])])

    def step(self, values: Sequence[Number], rows: Sequence[int]) -> str:
        """A stride, likewise."""
        if len(set(self.columns.get("stride", [0]))) == 1 or set(values) == {1}:
            return self._expressed(values, rows, [])
        return self._expressed(values, rows, [("stride", self.columns["stride"])])

    def padding(self, values: Sequence[Number], rows: Sequence[int]) -> str:
        """What a convolution pads itself: nothing where a layer before it pads for its stride."""
        whole = next((n for n in values if n), 0)
        column = [whole if stride == 1 else 0 for stride in self.columns.get("stride", [])]
        return self._expressed(values, rows, [(f"{whole} if stride == 1 else 0", column)])

    def kernel(self) -> str:
        """The side of a kernel that is not the same in all units."""
        self._use("kernel")
        return "kernel"

    def survival(self, values: Sequence[Number], rows: Sequence[int]) -> str:
        """The probability of a unit to stay: constant, or falling linearly (SD16 Eq 4)."""
        if len(set(values)) == 1:
            return _literal(values[0])
        total, last = len(self.plans), values[-1]
        falling = [1 - position / total * (1 - last) for position in self.columns["position"]]
        assert np.allclose([falling[row] for row in rows], values, rtol=0, atol=1e-12)
        self._use("position")
        return f"1 - position / {total} * (1 - {_literal(last)})"

    def _expressed(
        self,
        values: Sequence[Number],
        rows: Sequence[int],
        forms: Iterable[tuple[str, Sequence[Number]]],
    ) -> str:
        for text, column in forms:
            if len(column) and [column[row] for row in rows] == list(values):
                self._use(text)
                return text
        if len(set(values)) != 1:
            raise AssertionError(f"{self.name}: no expression for {set(values)}")
        return _literal(values[0])

    # -------------------------------------------------------------------------- conditions

    def condition(self, chosen: Sequence[int], others: Sequence[int]) -> str:
        """A condition that holds for the rows ``chosen`` and for none of the ``others``."""
        for text, holds in self._conditions():
            if all(holds[row] for row in chosen) and not any(holds[row] for row in others):
                self._use(text)
                return text
        raise AssertionError(f"{self.name}: nothing tells {chosen} from the others")

    def _conditions(self) -> Iterable[tuple[str, list[bool]]]:
        column = self.columns
        atoms: list[tuple[str, list[bool]]] = []
        if "outputs" in column:
            same = [a == b for a, b in zip(column["inputs"], column["outputs"], strict=True)]
            atoms += [("inputs == outputs", same), ("inputs != outputs", _negated(same))]
        whole = [stride == 1 for stride in column["stride"]]
        atoms += [("stride == 1", whole), ("stride != 1", _negated(whole))]
        first = [bool(value) for value in column["first"]]
        atoms += [("first", first), ("not first", _negated(first))]
        yield from atoms
        for (one, holds), (other, too) in combinations(atoms, 2):
            pairs = list(zip(holds, too, strict=True))
            yield f"{one} and {other}", [a and b for a, b in pairs]
            yield f"{one} or {other}", [a or b for a, b in pairs]

    def _use(self, text: str) -> None:
        words = set(re.findall("[a-z_]+", text))
        self.used |= words & set(self.columns)
        if "inner" in words:
            self.used |= {"inner", "outputs"}


def _kernel(unit: nn.Module) -> Number:
    """The side of the kernel of a unit's first convolution; 0 where there is none."""
    convs = (module for module in unit.modules() if isinstance(module, nn.Conv2d))
    return next((conv.kernel_size[0] for conv in convs), 0)


def _negated(values: Sequence[bool]) -> list[bool]:
    return [not value for value in values]


class _Constants(_Kind):
    """The stem and the head: every number is written as it is."""

    def maps(self, values: Sequence[Number], rows: Sequence[int]) -> str:
        return _literal(values[0])

    step = padding = maps


def _literal(value: Number) -> str:
    if isinstance(value, float):
        return repr(round(value, 12)).removesuffix(".0")
    return str(value)


# ---------------------------------------------------------------------------- modules as text


def _absent(module: nn.Module | None) -> bool:
    """Whether a module passes its input on, and so needs no line."""
    if module is None or isinstance(module, nn.Identity):
        return True
    return isinstance(module, nn.Sequential) and len(module) == 0


def _form(module: nn.Module | None, kind: _Kind) -> object:
    """What must be equal for two modules to be written by the same text."""
    if module is None or _absent(module):
        return None
    if isinstance(module, nn.Sequential):
        return tuple((name, _form(child, kind)) for name, child in module.named_children())
    if isinstance(module, nn.Conv2d):
        kernel = None if "kernel" in kind.columns else module.kernel_size
        return nn.Conv2d, kernel, module.bias is None
    if isinstance(module, SamePad):
        return SamePad, module.kernel, module.stride
    return type(module)


def _written(modules: Sequence[nn.Module], rows: Sequence[int], kind: _Kind) -> Code:
    """The expression that makes each of ``modules``, which have one form, in its row."""
    some = modules[0]
    if isinstance(some, nn.Sequential):
        return call("nn.Sequential", _children(modules, rows, kind))

    def column(attribute: str) -> list[Number]:
        found = [getattr(module, attribute) for module in modules]
        return [value[0] if isinstance(value, tuple) else value for value in found]

    maps, step = kind.maps, kind.step
    if isinstance(some, nn.Conv2d):
        keywords: dict[str, Code] = {}
        if set(strides := column("stride")) != {1}:
            keywords["stride"] = step(strides, rows)
        kernels = column("kernel_size")
        kernel = kind.kernel() if len(set(kernels)) > 1 else _literal(kernels[0])
        if len(set(kernels)) > 1:
            keywords["padding"] = "kernel // 2"
        elif set(padding := column("padding")) != {0}:
            one = len(set(padding)) == 1
            keywords["padding"] = _literal(padding[0]) if one else kind.padding(padding, rows)
        padded = [conv for conv in modules if isinstance(conv, nn.Conv2d) and any(conv.padding)]
        if padded and padded[0].padding_mode != "zeros":
            keywords["padding_mode"] = _quoted(padded[0].padding_mode)
        if some.bias is None:
            keywords["bias"] = "False"
        ends = maps(column("in_channels"), rows), maps(column("out_channels"), rows)
        return call("nn.Conv2d", *ends, kernel, **keywords)
    if isinstance(some, nn.Linear):
        ends = maps(column("in_features"), rows), maps(column("out_features"), rows)
        return call("nn.Linear", *ends, **({} if some.bias is not None else {"bias": "False"}))
    if isinstance(some, (nn.BatchNorm1d, nn.BatchNorm2d)):
        assert some.momentum is not None
        keywords = {} if math.isclose(some.eps, 1e-5) else {"eps": _literal(some.eps)}
        if not math.isclose(some.momentum, 0.1):
            keywords["momentum"] = _literal(some.momentum)
        name = type(some).__name__
        name = name if isinstance(some, (ShiftNorm1d, ShiftNorm2d)) else f"nn.{name}"
        return call(name, maps(column("num_features"), rows), **keywords)
    if isinstance(some, SamePad):
        own = [] if some.padding == "zeros" else [_quoted(some.padding)]
        return call("SamePad", _literal(some.kernel), _literal(some.stride), *own)
    if isinstance(some, ZeroPad):
        return call("ZeroPad", kind.more(column("extra"), rows), step(column("stride"), rows))
    if isinstance(some, LastMaps):
        return call("LastMaps", maps(column("maps"), rows))
    if isinstance(some, Scale):
        return call("Scale", _literal(some.factor))
    if isinstance(some, Survival):
        return call("Survival", kind.survival(column("prob"), rows))
    if isinstance(some, nn.Dropout):
        return call("nn.Dropout", _literal(some.p))
    if isinstance(some, nn.MaxPool2d):
        pads: dict[str, Code] = {"padding": str(some.padding)}
        keywords = {"stride": step(column("stride"), rows)}
        keywords |= pads if some.padding else {}
        keywords |= {"ceil_mode": "True"} if some.ceil_mode else {}
        return call("nn.MaxPool2d", _literal(column("kernel_size")[0]), **keywords)
    if isinstance(some, nn.AvgPool2d):
        return call("nn.AvgPool2d", _literal(column("kernel_size")[0]))
    if isinstance(some, (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)):
        return f"nn.{type(some).__name__}(1)"
    if isinstance(some, (nn.ReLU, nn.Tanh, nn.Sigmoid, nn.Flatten, nn.Identity)):
        return f"nn.{type(some).__name__}()"
    raise AssertionError(f"no text for {type(some).__name__}")


def _children(modules: Sequence[nn.Module], rows: Sequence[int], kind: _Kind) -> Code:
    """``OrderedDict(conv=…, bn=…)`` of chains with the same children."""
    parts = []
    for name, _ in modules[0].named_children():
        members = [module.get_submodule(name) for module in modules]
        parts.append(Part(_written(members, rows, kind), name))
    return Call("OrderedDict(", tuple(parts))


_Rows = tuple[tuple[int, ...], ...]


def _attributes(columns: dict[str, list[nn.Module | None]], kind: _Kind) -> list[str]:
    """The lines of ``__init__`` that set these attributes in every unit of a kind.

    Attributes that differ between the same units stand under one condition.
    """
    written: list[str] = []
    groups: dict[object, tuple[_Rows, dict[str, list[nn.Module | None]]]] = {}
    for name, modules in columns.items():
        forms: dict[object, list[int]] = {}
        for row, module in enumerate(modules):
            forms.setdefault(_form(module, kind), []).append(row)
        if len(forms) > 1 and name == "residual":
            parts: _Rows = ()  # layer by layer
        else:
            parts = tuple(sorted((tuple(rows) for rows in forms.values()), key=len, reverse=True))
        groups.setdefault(parts if len(parts) > 1 else name, (parts, {}))[1][name] = modules
    for parts, members in groups.values():
        if not parts:
            for name, modules in members.items():
                chains = [module for module in modules if isinstance(module, nn.Sequential)]
                written += _grown(f"self.{name} = nn.Sequential({{}})", chains, kind)
            continue
        if len(parts) == 1:
            for name, modules in members.items():
                written += lines(_value(modules, parts[0], kind), 8, f"self.{name} = ")
            continue
        for i, rows in enumerate(parts):
            others = [row for later in parts[i + 1 :] for row in later]
            test = f"{'elif' if i else 'if'} {kind.condition(rows, others)}" if others else "else"
            written.append(f"        {test}:")
            for name, modules in members.items():
                written += lines(_value(modules, rows, kind), 12, f"self.{name} = ")
    return written


def _value(modules: Sequence[nn.Module | None], rows: Sequence[int], kind: _Kind) -> Code:
    present = [m for m in (modules[row] for row in rows) if m is not None and not _absent(m)]
    if present:
        return _written(present, rows, kind)
    return "None" if modules[rows[0]] is None else "nn.Identity()"


def _grown(end: str, chains: Sequence[nn.Sequential], kind: _Kind) -> list[str]:
    """A chain of which some units lack some layers, layer by layer; ``end`` takes them."""
    names = [[child for child, _ in chain.named_children()] for chain in chains]
    longest = max(names, key=len)
    written = ["        layers: OrderedDict[str, nn.Module] = OrderedDict()"]
    open_condition = ""
    for layer in longest:
        rows = [row for row in kind.rows() if layer in names[row]]
        members = [chains[row].get_submodule(layer) for row in rows]
        others = [row for row in kind.rows() if layer not in names[row]]
        condition = kind.condition(rows, others) if others else ""
        if condition and condition != open_condition:
            why = "  # the stem ends with these" if condition == "not first" else ""
            written.append(f"        if {condition}:{why}")
        open_condition = condition
        indent = 12 if condition else 8
        written += lines(_written(members, rows, kind), indent, f'layers["{layer}"] = ')
    return [*written, f"        {end.format('layers')}"]


# -------------------------------------------------------------------------------- whole file

_HELPERS = {
    "ZeroPad": '''
class ZeroPad(nn.Module):
    """Option A: take every stride-th pixel, append maps of zeros; no parameters."""

    def __init__(self, extra: int, stride: int) -> None:
        super().__init__()
        self.extra = extra
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, :, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, 0, self.extra))
''',
    "SamePad": '''
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
''',
    "ShiftNorm1d": '''
class ShiftNorm1d(nn.BatchNorm1d):
    """Batch norm that shifts and does not scale."""

    def __init__(self, maps: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__(maps, eps, momentum)
        self.weight = None
''',
    "ShiftNorm2d": '''
class ShiftNorm2d(nn.BatchNorm2d):
    """Batch norm that shifts and does not scale."""

    def __init__(self, maps: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__(maps, eps, momentum)
        self.weight = None
''',
    "LastMaps": '''
class LastMaps(nn.Module):
    """The last maps of a concatenation."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.maps = maps

    def forward(self, x: Tensor) -> Tensor:
        return x[:, -self.maps :]
''',
    "Scale": '''
class Scale(nn.Module):
    """Multiplies by a constant."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x
''',
    "Survival": '''
class Survival(nn.Module):
    """Stochastic depth: in training the branch stays with this probability."""

    def __init__(self, prob: float) -> None:
        super().__init__()
        self.prob = prob

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return self.prob * x
        return (torch.rand((), device=x.device) < self.prob).to(x.dtype) * x
''',
}
_HELPER_TYPES: dict[type[nn.Module], str] = {
    kind: kind.__name__
    for kind in (ZeroPad, SamePad, ShiftNorm1d, ShiftNorm2d, LastMaps, Scale, Survival)
}
_TAKEN = {"OrderedDict", "torch", "Tensor", "nn", "F", "Stage", *_HELPERS}
_ORDER_WORDS = {
    "original": "Each convolution is followed by batch norm, the addition by ReLU (He et al. "
    "2015).",
    "bn_after_addition": "Batch norm and ReLU follow the addition (He et al. 2016, Fig 4b).",
    "relu_before_addition": "The branch ends in a ReLU, before the addition (He et al. 2016, "
    "Fig 4c).",
    "relu_only_preact": "ReLU precedes each convolution, batch norm follows it (He et al. 2016, "
    "Fig 4d).",
    "full_preact": "Batch norm and ReLU precede each convolution, nothing follows the addition "
    "(He et al. 2016, Fig 4e).",
}


class _File:
    """Writes the file of one net from top to bottom."""

    def __init__(self, net: Net, name: str, weights: str) -> None:
        self.net = net
        self.plan = net.blueprint
        self.spec = net.spec
        self.name = name
        self.weights = weights
        self.kinds = _kinds(net)
        taken = _TAKEN | set(self.kinds)
        if not name.isidentifier() or keyword.iskeyword(name) or name in taken:
            raise SpecError(
                f"{name!r} cannot be the class of the net: give a Python name other than "
                f"{', '.join(sorted(taken))}."
            )

    def text(self) -> str:
        classes = [self._class_of(kind) for kind in self.kinds.values()]
        body = [*self._helpers(), *classes, self._stage(), self._net()]
        blocks = "\n\n\n".join("\n".join(block) for block in body)
        head = "\n".join(self._docstring())
        return f"{head}\n\n{self._imports(blocks)}\n\n\n{blocks}\n"

    # ------------------------------------------------------------------------------- top

    def _docstring(self) -> list[str]:
        spec, plan = self.spec, self.plan
        shape = ", ".join(str(n) for n in spec.input_shape)
        about = (
            f"For images of {shape_text(spec.input_shape)}, given as (N, {shape}) and normalised "
            f"as in training; the answers are logits, (N, {spec.classes}). "
            f"{plan.multiply_adds:,} multiply-adds an image."
        )
        use = "\n\n".join(
            (
                f"Written by Skipscope for the net {token_of(spec)}. Weights that it trained load "
                "with",
                "    from safetensors.torch import load_file",
                f"    net = {self.name}()\n"
                f"    net.load_state_dict(load_file({_quoted(self.weights)}))",
            )
        )
        title = f"{title_of(spec)}: {plan.parameters:,} parameters."
        return docstring(title, f"{about}\n\n{use}")

    def _imports(self, blocks: str) -> str:
        found = ["from __future__ import annotations", "", "from collections import OrderedDict"]
        found.append("")
        if "torch." in blocks:
            found.append("import torch")
        found.append("from torch import Tensor, nn")
        if "F." in blocks:
            found.append("from torch.nn import functional as F")
        return "\n".join(found)

    def _helpers(self) -> list[list[str]]:
        present = {_HELPER_TYPES.get(type(module)) for module in self.net.modules()}
        return [text.strip("\n").splitlines() for name, text in _HELPERS.items() if name in present]

    # ----------------------------------------------------------------------------- units

    def _class_of(self, kind: _Kind) -> list[str]:
        some = kind.modules[0]
        if isinstance(some, ResidualUnit):
            base, words, set_up, forward = self._residual(kind)
        elif isinstance(some, HighwayUnit):
            base, words, set_up, forward = self._highway(kind)
        elif isinstance(some, DenseUnit):
            base, words, set_up, forward = self._dense(kind)
        else:
            base, words, set_up, forward = self._chain(kind)
        written = [f"class {kind.name}({base}):", *docstring(*words, indent=4), ""]
        written += _constructor(kind)
        return [*written, *set_up, *forward]

    def _residual(self, kind: _Kind) -> tuple[str, tuple[str, str], list[str], list[str]]:
        spec = self.spec
        assert isinstance(spec, ResidualSpec)
        units = [unit for unit in kind.modules if isinstance(unit, ResidualUnit)]
        columns: dict[str, list[nn.Module | None]] = {
            name: [getattr(unit, name) for unit in units]
            for name in (
                "split",
                "shortcut",
                "shortcut_gate",
                "residual",
                "residual_scale",
                "survival",
                "after",
            )
        }
        present = {name for name, ms in columns.items() if not all(map(_absent, ms))}
        body = _attributes({name: columns[name] for name in columns if name in present}, kind)
        set_up = ["        super().__init__()"]
        set_up += [*_narrow(kind), *body]

        forward = ["", "    def forward(self, x: Tensor) -> Tensor:"]
        if "split" in present:
            forward += ["        x = self.split(x)", ""]
        shortcut = "self.shortcut(x)" if "shortcut" in present else "x"
        residual = "self.residual(x)"
        if "residual_scale" in present:
            residual = f"self.residual_scale({residual})"
        gated = "shortcut_gate" in present
        if "survival" in present and not gated:
            residual = f"self.survival({residual})"
        forward += ["        # shortcut branch", f"        shortcut = {shortcut}", ""]
        forward += ["        # residual branch", f"        residual = {residual}", ""]
        if gated:
            forward += self._gating(columns["shortcut_gate"], exclusive=units[0].exclusive)
            if "survival" in present:
                forward.append("        residual = self.survival(residual)")
        total = "shortcut + residual"
        forward.append(f"        return {f'self.after({total})' if 'after' in present else total}")

        conv = spec.layout != "fc"
        formula = "y = after(h(x) + F(x))" if "after" in present else "y = h(x) + F(x)"
        words = _ORDER_WORDS[spec.order] if conv and spec.batch_norm else ""
        words = words.replace("ReLU", "tanh") if spec.activation == "tanh" else words
        return "nn.Module", (f"{formula}: shortcut plus residual.", words), set_up, forward

    def _gating(self, gates: Sequence[nn.Module | None], *, exclusive: bool) -> list[str]:
        """He16 §3.1; where the shape changes there is no gate."""
        inner = ["gate = self.shortcut_gate(x)", "shortcut = (1 - gate) * shortcut"]
        if exclusive:
            inner.append("residual = gate * residual")
        if all(gate is not None for gate in gates):
            return [f"        {line}" for line in inner]
        guard = "        if self.shortcut_gate is not None:"
        return [guard, *(f"            {line}" for line in inner)]

    def _highway(self, kind: _Kind) -> tuple[str, tuple[str, str], list[str], list[str]]:
        units = [unit for unit in kind.modules if isinstance(unit, HighwayUnit)]
        set_up = ["        super().__init__()"]
        set_up += _attributes(
            {
                "transform": [unit.transform for unit in units],
                "transform_gate": [unit.transform_gate for unit in units],
            },
            kind,
        )
        forward = [
            "",
            "    def forward(self, x: Tensor) -> Tensor:",
            "        transformed = self.transform(x)",
            "        gate = self.transform_gate(x)",
            "        return transformed * gate + x * (1 - gate)",
        ]
        words = (
            "y = H(x) * T(x) + x * (1 - T(x)) (Srivastava et al. 2015, Eq 3).",
            "H is the transform, T its gate: near 0 the unit carries x on.",
        )
        return "nn.Module", words, set_up, forward

    def _dense(self, kind: _Kind) -> tuple[str, tuple[str, str], list[str], list[str]]:
        units = [unit for unit in kind.modules if isinstance(unit, DenseUnit)]
        set_up = ["        super().__init__()"]
        set_up += _attributes({"growth": [unit.growth for unit in units]}, kind)
        forward = [
            "",
            "    def forward(self, x: Tensor) -> Tensor:",
            "        return torch.cat((x, self.growth(x)), dim=1)",
        ]
        words = (
            "y = [x, growth(x)]: the maps so far, and new ones (Huang et al. 2016).",
            "",
        )
        return "nn.Module", words, set_up, forward

    def _chain(self, kind: _Kind) -> tuple[str, tuple[str, str], list[str], list[str]]:
        """A plain unit or a transition: a sequence of layers."""
        if kind.name == "Transition":
            summary = "Between stages: half the resolution."
        else:
            summary = "Layer upon layer: nothing passes by."
        if len({_form(module, kind) for module in kind.modules}) > 1:
            chains = [module for module in kind.modules if isinstance(module, nn.Sequential)]
            set_up = _grown("super().__init__({})", chains, kind)
        else:
            set_up = lines(call("super().__init__", _children(kind.modules, kind.rows(), kind)), 8)
        return "nn.Sequential", (summary, ""), [*_narrow(kind), *set_up], []

    # ------------------------------------------------------------------------------- net

    def _stage(self) -> list[str]:
        ends = [stage.transition for stage in _stages(self.net)]
        written = ["class Stage(nn.Module):"]
        if not any(ends):
            return [
                *written,
                '    """Units at one resolution."""',
                "",
                "    def __init__(self, units: list[nn.Module]) -> None:",
                "        super().__init__()",
                "        self.units = nn.ModuleList(units)",
                "",
                "    def forward(self, x: Tensor) -> Tensor:",
                "        for unit in self.units:",
                "            x = unit(x)",
                "        return x",
            ]
        always = all(ends)
        kind = "nn.Module" if always else "nn.Module | None = None"
        given = [Part("self"), Part("units: list[nn.Module]"), Part(f"transition: {kind}")]
        leave = "self.transition(x)"
        leave = leave if always else f"x if self.transition is None else {leave}"
        return [
            *written,
            '    """Units at one resolution, and what leads to the next."""',
            "",
            *lines(Call("def __init__(", tuple(given), ") -> None:"), 4),
            "        super().__init__()",
            "        self.units = nn.ModuleList(units)",
            "        self.transition = transition",
            "",
            "    def forward(self, x: Tensor) -> Tensor:",
            "        for unit in self.units:",
            "            x = unit(x)",
            f"        return {leave}",
        ]

    def _net(self) -> list[str]:
        family = self.spec.family
        written = [f"class {self.name}(nn.Module):"]
        about = f"A {family} net: stem, {len(self.plan.units)} units in stages, head."
        written += docstring(about, indent=4)
        written += ["", "    def __init__(self) -> None:", "        super().__init__()"]
        none = _Constants("")
        written += lines(_written([self.net.stem], [0], none), 8, "self.stem = ")
        stages = [
            Part(self._stage_call(index), comment=self._stage_comment(index))
            for index in range(len(self.plan.stage_names))
        ]
        written += lines(call("nn.ModuleList", listed(stages)), 8, "self.stages = ")
        written += lines(_written([self.net.head], [0], none), 8, "self.head = ")
        written += ["        self.initialise()", ""]
        written += [
            "    def forward(self, x: Tensor) -> Tensor:",
            "        x = self.stem(x)",
            "        for stage in self.stages:",
            "            x = stage(x)",
            "        return self.head(x)",
            "",
        ]
        return [*written, *self._initialise()]

    def _stage_comment(self, index: int) -> str:
        inside = [unit for unit in self.plan.units if unit.stage == index]
        shape = [unit for unit in inside if unit.kind != "transition"][-1].output_shape
        return f"{self.plan.stage_names[index]}: {shape_text(shape)}"

    def _stage_call(self, index: int) -> Code:
        """``Stage([Unit(16, 16), *[Unit(16, 16) for _ in range(8)]])``."""
        stage = _stages(self.net)[index]
        arguments = [self._arguments(unit) for unit in stage.units]
        runs = _repeated(arguments)
        units: Code = listed(Part(f"*{run}") if isinstance(run, str) else Part(run) for run in runs)
        if len(runs) == 1 and isinstance(runs[0], str):
            units = runs[0]
        if stage.transition is None:
            return call("Stage", units)
        name, values = self._arguments(stage.transition)
        return call("Stage", units, call(name, *_called(values)))

    def _arguments(self, unit: nn.Module) -> tuple[str, dict[str, Number]]:
        """The class of a unit, and what its constructor is given: what differs from defaults."""
        for kind in self.kinds.values():
            for row, module in enumerate(kind.modules):
                if module is unit:
                    given = {name: kind.columns[name][row] for name in _parameters(kind)}
                    usual = {"stride": 1, "first": False, "kernel": 3}
                    return kind.name, {
                        k: v for k, v in given.items() if k not in usual or usual[k] != v
                    }
        raise AssertionError("a unit of no kind")

    # -------------------------------------------------------------------- initial weights

    def _initialise(self) -> list[str]:
        layers = [m for m in self.net.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
        types = sorted({f"nn.{type(layer).__name__}" for layer in layers})
        tested = types[0] if len(types) == 1 else f"({', '.join(types)})"
        summary, draw = _DRAWN.get(self.spec.init, _DRAWN["he"])
        gain = self.spec.init_gain
        if gain != 1:
            summary = summary.replace(", biases", f" × {_literal(gain)}, biases")
        written = [
            "    def initialise(self) -> None:",
            *docstring(summary, indent=8),
            "        for module in self.modules():",
            f"            if isinstance(module, {tested}):",
            f"                {draw}",
        ]
        if gain != 1:
            written.append("                with torch.no_grad():")
            written.append(f"                    module.weight.mul_({_literal(gain)})")
        if all(layer.bias is not None for layer in layers):
            written.append("                nn.init.zeros_(module.bias)")
        else:
            written.append("                if module.bias is not None:")
            written.append("                    nn.init.zeros_(module.bias)")
        return [*written, *self._initial_gates(), *self._initial_branches()]

    def _initial_gates(self) -> list[str]:
        """Gates start at their bias; a sigmoid's weights are drawn by Glorot's rule."""
        if isinstance(self.spec, HighwaySpec):
            kind, gate, bias = HighwayUnit.__name__, "transform_gate", self.spec.transform_bias
        elif isinstance(self.spec, ResidualSpec) and "gating" in self.spec.shortcut:
            kind, gate, bias = ResidualUnit.__name__, "shortcut_gate", self.spec.gate_bias
        else:
            return []
        units = self.kinds[kind].modules
        gates = [getattr(unit, gate) for unit in units]
        found = [one for one in gates if isinstance(one, Gate)]
        if not found:  # every unit changes the shape
            return []
        layer = next(name for name, _ in found[0].named_children())
        test = f"isinstance(module, {kind})"
        uniform = self.spec.init == "xavier_uniform"
        drawn = f"nn.init.xavier_{'uniform' if uniform else 'normal'}_"
        if len(found) < len(gates):
            test += f" and module.{gate} is not None"
        return [
            "        for module in self.modules():",
            f"            if {test}:",
            f"                gate = module.{gate}.{layer}",
            f"                {drawn}(gate.weight)",
            f"                nn.init.constant_(gate.bias, {_literal(bias)})",
        ]

    def _initial_branches(self) -> list[str]:
        """The size at which F starts, where that was chosen."""
        if self.spec.init not in ("zero_last_scale", "branch_scaled"):
            return []
        kinds = (nn.BatchNorm2d, nn.Conv2d, nn.Linear)
        units = [m for m in self.kinds["ResidualUnit"].modules if isinstance(m, ResidualUnit)]
        names = [n for n, m in units[0].residual.named_children() if isinstance(m, kinds)]
        last = f"module.residual.{names[-1]}.weight"
        written = [
            "        for module in self.modules():",
            "            if isinstance(module, ResidualUnit):",
        ]
        if self.spec.init == "zero_last_scale":
            # The units start as their shortcuts.
            return [*written, f"                nn.init.zeros_({last})"]
        return [
            *written,
            "                with torch.no_grad():",
            f"                    {last}.div_({len(self.plan.units)})",
        ]


_DRAWN: dict[str, tuple[str, str]] = {
    "he": (
        "Weights from N(0, 2 / fan-in), biases 0 (He et al. 2015).",
        'nn.init.kaiming_normal_(module.weight, nonlinearity="relu")',
    ),
    "xavier": (
        "Weights from N(0, 2 / (fan-in + fan-out)), biases 0 (Glorot 2010).",
        "nn.init.xavier_normal_(module.weight)",
    ),
    "xavier_uniform": (
        "Weights from ±√(6 / (fan-in + fan-out)) uniformly, biases 0 (Glorot 2010).",
        "nn.init.xavier_uniform_(module.weight)",
    ),
}


def _quoted(text: str) -> str:
    """A Python string in double quotes."""
    return json.dumps(text, ensure_ascii=False)


def _stages(net: Net) -> list[Stage]:
    return [stage for stage in net.stages if isinstance(stage, Stage)]


def _kinds(net: Net) -> dict[str, _Kind]:
    """The units by class, in the order of their first appearance."""
    kinds: dict[str, _Kind] = {}
    for plan, module in zip(net.blueprint.units, net.units, strict=True):
        name = "Transition" if plan.kind == "transition" else type(module).__name__
        kind = kinds.setdefault(name, _Kind(name))
        kind.plans.append(plan)
        kind.modules.append(module)
    for kind in kinds.values():
        kind.tabulate(net.blueprint.units[0])
    return kinds


_ORDER = (
    *("inputs", "outputs", "maps", "width", "growth_rate"),
    *("position", "stride", "kernel", "first"),
)


def _narrow(kind: _Kind) -> list[str]:
    """The width inside a bottleneck, where the class's text has taken it up."""
    return [f"        inner = outputs // {BOTTLENECK_EXPANSION}"] if "inner" in kind.used else []


def _parameters(kind: _Kind) -> list[str]:
    """The variables that the class's text uses, as its constructor takes them."""
    return [name for name in _ORDER if name in kind.used]


def _constructor(kind: _Kind) -> list[str]:
    types = {"stride": "stride: int = 1", "kernel": "kernel: int = 3"}
    parts = [Part("self")]
    for name in _parameters(kind):
        if name == "first":
            parts.append(Part("*"))
            parts.append(Part("first: bool = False"))
        else:
            parts.append(Part(types.get(name, f"{name}: int")))
    return lines(Call("def __init__(", tuple(parts), ") -> None:"), 4)


def _called(values: dict[str, Number], moving: dict[str, str] | None = None) -> list[str]:
    """Arguments: widths by place, the others by name."""
    texts = {name: _literal(value) for name, value in values.items()} | (moving or {})
    by_name = ("stride", "position", "kernel", "first")
    return [f"{name}={text}" if name in by_name else text for name, text in texts.items()]


def _repeated(units: Sequence[tuple[str, dict[str, Number]]]) -> list[Code]:
    """One call a unit; three or more that are alike, or count on, share a list."""
    written: list[Code] = []
    start = 0
    while start < len(units):
        name, values = units[start]
        # The run of neighbours that differ by the same steps.
        steps, length = next(
            ((steps, 1 + len(list(run))) for steps, run in groupby(_all_steps(units[start:]))),
            (None, 1),
        )
        if steps is None or length < 3:
            written.append(call(name, *_called(values)))
            start += 1
            continue
        moving = {
            key: f"{values[key]} + {step} * i" if step != 1 else f"{values[key]} + i"
            for key, step in steps.items()
        }
        each = one_line(call(name, *_called(values, moving)))
        written.append(f"[{each} for {'i' if moving else '_'} in range({length})]")
        start += length
    return written


def _all_steps(
    units: Sequence[tuple[str, dict[str, Number]]],
) -> Iterator[dict[str, int] | None]:
    return (_steps(one, other) for one, other in pairwise(units))


def _steps(
    one: tuple[str, dict[str, Number]], other: tuple[str, dict[str, Number]]
) -> dict[str, int] | None:
    """By how much the next unit's arguments differ; None where they do not simply count on."""
    if one[0] != other[0] or list(one[1]) != list(other[1]):
        return None
    steps = {
        key: int(other[1][key] - value) for key, value in one[1].items() if other[1][key] != value
    }
    counting = {"position"} | ({"inputs"} if "growth_rate" in one[1] else set())
    return steps if set(steps) <= counting else None
