"""Export as code: one PyTorch file that builds a net of ours, to read, keep and train.

The text is written from the net's own modules, so it cannot differ from them. The net is built
from numbers that know their names, so that a convolution from ``inputs`` to ``outputs // 4`` maps
can say so, and each module is written as the call that makes it. Units whose text is alike share
it; what only some have stands under the condition that tells them apart. Options that were not
chosen leave no trace.
"""

from __future__ import annotations

import inspect
import json
import keyword
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, groupby, pairwise

import torch
from torch import nn

from explorer.errors import SpecError
from explorer.nets import layers
from explorer.nets.net import Net
from explorer.nets.residual import ResidualUnit
from explorer.nets.source import docstring, indented, laid_out
from explorer.structure.blueprint import BOTTLENECK_EXPANSION, Blueprint, UnitPlan, blueprint
from explorer.structure.graph import shape_text
from explorer.structure.names import title_of, token_of
from explorer.structure.specs import DenseSpec, NetSpec, ResidualSpec

Row = dict[str, int]  # what the constructor of a unit may be given, by the name of the argument
_OURS = ("ZeroPad", "SamePad", "ShiftNorm1d", "ShiftNorm2d", "LastMaps", "Scale", "Survival")
_DEFAULTS = {"stride": 1, "kernel": 3, "first": False}  # of arguments


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
    kinds = _kinds(plan)
    name = _class_name(spec) if class_name is None else class_name
    taken = {"OrderedDict", "torch", "Tensor", "nn", "F", "Stage", *_OURS, *kinds}
    if not name.isidentifier() or keyword.iskeyword(name) or name in taken:
        raise SpecError(
            f"{name!r} cannot be the class of the net: give a Python name other than "
            f"{', '.join(sorted(taken))}."
        )
    rows = {unit: row for units in kinds.values() for unit, row in _rows(units).items()}
    net = _net_of_names(plan, rows)
    present = {type(module).__name__ for module in net.modules()}
    blocks = [_own_source(helper) for helper in _OURS if helper in present]
    calls: dict[str, str] = {}
    for kind, units in kinds.items():
        modules = [net.get_submodule(unit.name) for unit in units]
        text, used = _unit_class(kind, modules, [rows[unit.name] for unit in units], spec)
        blocks.append(text)
        calls |= {unit.name: _call(kind, rows[unit.name], used) for unit in units}
    blocks += [_stage_class(plan), _net_class(name, net, plan, calls)]
    code = "\n\n\n".join(map(laid_out, blocks))
    return f"{_top(plan, name, weights, code)}\n\n\n{code}\n"


def _kinds(plan: Blueprint) -> dict[str, list[UnitPlan]]:
    """The units by the classes that they have in the file."""
    kinds: dict[str, list[UnitPlan]] = {}
    for unit in plan.units:
        name = "Transition" if unit.kind == "transition" else f"{unit.kind.capitalize()}Unit"
        kinds.setdefault(name, []).append(unit)
    return kinds


def _class_name(spec: NetSpec) -> str:
    """``ResNet v2 56, width 8`` → ``ResNetV2_56``."""
    title = re.sub(r"(?<=\d)[^A-Za-z0-9]+(?=\d)", "_", title_of(spec).split(",")[0])
    name = "".join(word[0].upper() + word[1:] for word in re.findall(r"[A-Za-z0-9_]+", title))
    return name if name[:1].isalpha() else f"Net{name}"


def _top(plan: Blueprint, name: str, weights: str, code: str) -> str:
    """What stands above ``code``: the file's docstring and its imports."""
    spec = plan.spec
    shape = ", ".join(map(str, spec.input_shape))
    about = f"""{title_of(spec)}: {plan.parameters:,} parameters.

For images of {shape_text(spec.input_shape)}, given as (N, {shape}) and normalised \
as in training; the answers are logits, (N, {spec.classes}). \
{plan.multiply_adds:,} multiply-adds an image.

Written by Skipscope for the net {token_of(spec)}. Weights that it trained load with

    from safetensors.torch import load_file

    net = {name}()
    net.load_state_dict(load_file({_literal(weights)}))"""
    written = [docstring(about), "", "from __future__ import annotations", ""]
    written += ["from collections import OrderedDict", ""]
    written += ["import torch"] if "torch." in code else []
    written += ["from torch import Tensor, nn"]
    written += ["from torch.nn import functional as F"] if "F." in code else []
    return "\n".join(written)


def _own_source(helper: str) -> str:
    """A module of ours that PyTorch lacks, as the file has it."""
    if helper.startswith("ShiftNorm"):
        return _SHIFT_NORM.format(helper.removeprefix("ShiftNorm"))
    return inspect.getsource(getattr(layers, helper)).partition("\n    def extra_repr")[0].rstrip()


_SHIFT_NORM = '''class ShiftNorm{0}(nn.BatchNorm{0}):
    """Batch norm that shifts and does not scale."""

    def __init__(self, maps: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__(maps, eps, momentum)
        self.weight = None'''


# ------------------------------------------------------------------- numbers that have names


class _Named(int):
    """A number, and the text that computes it in the file; arithmetic keeps both."""

    text: str

    def __new__(cls, value: int, text: str) -> _Named:
        named = super().__new__(cls, value)
        named.text = text
        return named

    def __str__(self) -> str:
        return self.text

    def __bool__(self) -> bool:
        return True  # where this unit has 0, another has not

    def __sub__(self, other: int) -> _Named:
        return _Named(int(self) - int(other), f"{self} - {other}")

    def __floordiv__(self, other: int) -> _Named:
        return _Named(int(self) // other, f"{self} // {other}")

    def __rmul__(self, other: int) -> _Named:
        whole = self.text.removesuffix(f" // {other}")  # a bottleneck's way back
        return _Named(other * int(self), f"{other} * {self}" if whole == self.text else whole)


def _rows(units: list[UnitPlan]) -> dict[str, Row]:
    """For each unit of one class its widths, and what else differs between them."""
    inputs = [unit.input_shape[0] for unit in units]
    outputs = [unit.output_shape[0] for unit in units]
    columns: dict[str, Sequence[int]] = {"inputs": inputs, "outputs": outputs}
    if units[0].kind == "dense":
        columns = {"inputs": inputs, "growth_rate": [outputs[0] - inputs[0]] * len(units)}
    elif inputs == outputs:
        columns = {"maps" if len(units[0].input_shape) == 3 else "width": inputs}
    others: dict[str, Sequence[int]] = {
        "position": range(1, len(units) + 1),
        "stride": [unit.stride for unit in units],
        "kernel": [unit.kernel for unit in units],
        "first": [unit.name == "stages.0.units.0" for unit in units],
    }
    columns |= {name: column for name, column in others.items() if len(set(column)) > 1}
    return {
        unit.name: dict(zip(columns, row, strict=True))
        for unit, *row in zip(units, *columns.values(), strict=True)
    }


def _net_of_names(plan: Blueprint, rows: dict[str, Row]) -> Net:
    """The net whose units' numbers have the names of the arguments that they stem from."""
    probs = [unit.survival_prob for unit in plan.units if unit.kind == "residual"]
    units = []
    for unit in plan.units:
        named = {name: _Named(value, name) for name, value in rows[unit.name].items()}
        inputs, prob = next(iter(named.values())), unit.survival_prob
        if len(set(probs)) > 1:  # they fall linearly (SD16 Eq 4)
            prob = _Named(0, f"1 - position / {len(probs)} * (1 - {_literal(probs[-1])})")
        unit = replace(
            unit,
            input_shape=(inputs, *unit.input_shape[1:]),
            output_shape=(named.get("outputs", inputs), *unit.output_shape[1:]),
            stride=named.get("stride", unit.stride),
            kernel=named.get("kernel", unit.kernel),
            survival_prob=prob,
        )
        units.append(unit)
    spec = plan.spec
    if isinstance(spec, DenseSpec):
        spec = spec.model_copy(update={"growth_rate": _Named(spec.growth_rate, "growth_rate")})
    with torch.device("meta"):  # no memory, no time: only the structure matters
        return Net(replace(plan, spec=spec, units=tuple(units)))


# ---------------------------------------------------------------------------- modules as text


def _text(module: nn.Module | None) -> str:
    """The call that makes a module, whose attributes have the names of its arguments."""
    if module is None:
        return "None"
    if isinstance(module, nn.Sequential):
        inner = ", ".join(f"{name}={_text(child)}" for name, child in module.named_children())
        return f"nn.Sequential(OrderedDict({inner}))" if inner else "nn.Identity()"
    given = []
    for name, parameter in inspect.signature(type(module)).parameters.items():
        value = getattr(module, name, parameter.default)
        text = _literal(value is not None if name == "bias" else value)
        if text != _literal(parameter.default) or name == "p":  # a dropout's is always said
            by_place = parameter.default is parameter.empty or name in ("p", "mode")
            given.append(text if by_place else f"{name}={text}")
    given.sort(key=lambda text: text.startswith("bias"))
    given = given[:1] if isinstance(module, nn.AvgPool2d) else given  # its stride is its size
    name = type(module).__name__
    return f"{'' if name in _OURS else 'nn.'}{name}({', '.join(given)})"


def _literal(value: object) -> str:
    if isinstance(value, tuple) and len(set(value)) == 1:
        value = value[0]
    if isinstance(value, float):
        return repr(round(value, 12)).removesuffix(".0")
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)


def _statements(columns: list[list[str]], rows: list[Row]) -> list[str]:
    """Lines of code; each of the ``columns`` has a line for every unit, or "" where it lacks it.

    Neighbouring lines that differ between the same units stand under the same condition, and the
    lines of most units come first.
    """
    written: list[str] = []
    for groups, members in groupby(columns, lambda column: tuple(map(column.index, column))):
        alike, left = list(members), list(range(len(rows)))
        column = alike[0]
        if not any(groups):
            written += [same[0] for same in alike]
            continue
        for line in sorted(
            [line for line, _ in Counter(column).most_common()], key=lambda x: not x
        ):
            word = "if" if len(left) == len(rows) else "elif"
            chosen = [i for i in left if column[i] == line]
            left = [i for i in left if column[i] != line]
            if not line:
                continue
            test = f"{word} {_condition(rows, chosen, left)}:" if left else "else:"
            some = test == "if not first:" and not column[left[0]]
            written.append(f"{test}  # the stem ends with these" if some else test)
            lines = [f"    {column[chosen[0]]}" for column in alike]
            if all(rows[i].get("stride") == 1 for i in chosen):  # as usual
                lines = [line.replace(", stride=stride", "") for line in lines]
            written += lines
    return written


def _chain(start: str, chains: list[nn.Module]) -> list[list[str]]:
    """The columns that make a chain: at once, or layer by layer where some units lack some."""
    whole = [_text(chain).replace("nn.Sequential", start, 1) for chain in chains]
    if len(set(whole)) == 1:
        return [whole]
    columns = [["layers: OrderedDict[str, nn.Module] = OrderedDict()"] * len(chains)]
    children = [dict(chain.named_children()) for chain in chains]
    for name in max(children, key=len):
        texts = [_text(inside[name]) if name in inside else "" for inside in children]
        present = {*texts} - {""}
        if len(present) > 1:  # what strides has a layer before it that pads
            assert len({re.sub(r", padding\w*=[^,)]+", "", text) for text in present}) == 1
            padded = max(present, key=len).replace("padding=1", "padding=1 if stride == 1 else 0")
            texts = [padded] * len(texts)
        columns.append([f'layers["{name}"] = {text}' if text else "" for text in texts])
    return [*columns, [f"{start}(layers)"] * len(chains)]


def _condition(rows: list[Row], chosen: list[int], others: list[int]) -> str:
    """What holds for all ``chosen`` of the rows and for none of the ``others``."""
    facts = ["inputs == outputs", "inputs != outputs", "stride == 1", "stride != 1"]
    facts += ["first", "not first"]
    pairs = (f"{a} {word} {b}" for a, b in combinations(facts, 2) for word in ("and", "or"))
    usual = {"inputs": 1, "outputs": 1, "stride": 1, "first": False}
    for test in (*facts, *pairs):
        holds = [eval(test, {}, usual | row) for row in rows]
        if all(holds[i] for i in chosen) and not any(holds[i] for i in others):
            return test
    raise AssertionError(f"nothing tells {chosen} from {others}")


# ---------------------------------------------------------------------------- units


def _unit_class(
    kind: str, units: list[nn.Module], rows: list[Row], spec: NetSpec
) -> tuple[str, list[str]]:
    """The class of some units, and the arguments that it takes."""
    names = max(([name for name, _ in unit.named_children()] for unit in units), key=len)
    texts = {name: [_text(getattr(unit, name, None)) for unit in units] for name in names}
    texts = {n: column for n, column in texts.items() if {*column} - {"None", "nn.Identity()"}}
    about, forward = _WRITTEN.get(kind) or _residual(spec, texts)
    if forward:
        columns = [["super().__init__()"] * len(units)]
        for name, column in texts.items():
            columns.append([f"self.{name} = {text}" for text in column])
            if name == "residual":
                branches = [unit.get_submodule(name) for unit in units]
                columns[-1:] = _chain("self.residual = nn.Sequential", branches)
    else:
        columns = _chain("super().__init__", units)
    body = _statements(columns, rows)
    inner = f"outputs // {BOTTLENECK_EXPANSION}"
    if inner in "".join(body):
        body = [line.replace(inner, "inner") for line in body]
        body.insert(1 if forward else 0, f"inner = {inner}")
    used = [name for name in rows[0] if re.search(rf"\b{name}\b(?!=)", "\n".join(body))]
    given = ", ".join(["self", *map(_parameter, used)])
    base = "nn.Module" if forward else "nn.Sequential"
    text = [f"class {kind}({base}):", docstring(about, indent=4), ""]
    text += [f"    def __init__({given}) -> None:", indented(body, 8)]
    if forward:
        text += ["", "    def forward(self, x: Tensor) -> Tensor:", indented(forward, 8)]
    return "\n".join(text), used


def _parameter(name: str) -> str:
    usual = _DEFAULTS.get(name)
    if usual is None:
        return f"{name}: int"
    return f"{'*, ' if name == 'first' else ''}{name}: {type(usual).__name__} = {usual}"


def _call(kind: str, row: Row, used: list[str]) -> str:
    """The call that makes a unit: widths by place, the rest by name where it is not usual."""
    by_name = ("position", *_DEFAULTS)
    given = [name for name in used if _DEFAULTS.get(name) != row[name]]
    texts = [f"{name}={row[name]}" if name in by_name else f"{row[name]}" for name in given]
    return f"{kind}({', '.join(texts)})"


def _residual(spec: NetSpec, texts: dict[str, list[str]]) -> tuple[str, list[str]]:
    """What the class of the residual units says of itself, and its ``forward``."""
    assert isinstance(spec, ResidualSpec)
    residual = "self.residual(x)"
    if "residual_scale" in texts:
        residual = f"self.residual_scale({residual})"
    if "survival" in texts and "shortcut_gate" not in texts:
        residual = f"self.survival({residual})"
    forward = ["x = self.split(x)", ""] if "split" in texts else []
    shortcut = "self.shortcut(x)" if "shortcut" in texts else "x"
    forward += ["# shortcut branch", f"shortcut = {shortcut}", ""]
    forward += ["# residual branch", f"residual = {residual}", ""]
    if "shortcut_gate" in texts:  # He16 §3.1; where the shape changes there is no gate
        gating = ["gate = self.shortcut_gate(x)", "shortcut = (1 - gate) * shortcut"]
        gating += ["residual = gate * residual"] if spec.shortcut == "exclusive_gating" else []
        if "None" in texts["shortcut_gate"]:
            forward.append("if self.shortcut_gate is not None:")
            gating = [f"    {line}" for line in gating]
        forward += gating
        forward += ["residual = self.survival(residual)"] if "survival" in texts else []
    total = "shortcut + residual"
    forward.append(f"return self.after({total})" if "after" in texts else f"return {total}")
    formula = "y = after(h(x) + F(x))" if "after" in texts else "y = h(x) + F(x)"
    words = _ORDER_WORDS[spec.order] if spec.layout != "fc" and spec.batch_norm else ""
    words = words.replace("ReLU", "tanh") if spec.activation == "tanh" else words
    return f"{formula}: shortcut plus residual.\n\n{words}", forward


_WRITTEN = {
    "PlainUnit": ("Layer upon layer: nothing passes by.", []),
    "Transition": ("Between stages: half the resolution.", []),
    "HighwayUnit": (
        "y = H(x) * T(x) + x * (1 - T(x)) (Srivastava et al. 2015, Eq 3).\n\n"
        "H is the transform, T its gate: near 0 the unit carries x on.",
        [
            "transformed = self.transform(x)",
            "gate = self.transform_gate(x)",
            "return transformed * gate + x * (1 - gate)",
        ],
    ),
    "DenseUnit": (
        "y = [x, growth(x)]: the maps so far, and new ones (Huang et al. 2016).",
        ["return torch.cat((x, self.growth(x)), dim=1)"],
    ),
}
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


# ------------------------------------------------------------------------- the net


def _stage_class(plan: Blueprint) -> str:
    ends = sum(unit.kind == "transition" for unit in plan.units)
    always = ends == len(plan.stage_names)
    about, given, kept, left = "", "", "", "x"
    if ends:
        about = ", and what leads to the next"
        given = f", transition: nn.Module{'' if always else ' | None = None'}"
        kept = "\n        self.transition = transition"
        left = f"{'' if always else 'x if self.transition is None else '}self.transition(x)"
    return f"""class Stage(nn.Module):
    \"\"\"Units at one resolution{about}.\"\"\"

    def __init__(self, units: list[nn.Module]{given}) -> None:
        super().__init__()
        self.units = nn.ModuleList(units){kept}

    def forward(self, x: Tensor) -> Tensor:
        for unit in self.units:
            x = unit(x)
        return {left}"""


def _net_class(name: str, net: Net, plan: Blueprint, calls: dict[str, str]) -> str:
    stages = []
    for index, stage in enumerate(plan.stage_names):
        inside = [unit for unit in plan.units if unit.stage == index]
        own = [unit for unit in inside if unit.kind != "transition"]
        ends = [calls[unit.name] for unit in inside if unit.kind == "transition"]
        given = ", ".join([_listed([calls[unit.name] for unit in own]), *ends])
        stages += [f"# {stage}: {shape_text(own[-1].output_shape)}", f"Stage({given}),"]
    return f"""class {name}(nn.Module):
    \"\"\"A {plan.spec.family} net: stem, {len(plan.units)} units in stages, head.\"\"\"

    def __init__(self) -> None:
        super().__init__()
        self.stem = {_text(net.stem)}
        self.stages = nn.ModuleList(
            [
{indented(stages, 16)}
            ]
        )
        self.head = {_text(net.head)}
        self.initialise()

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        return self.head(x)

    def initialise(self) -> None:
{_initialise(net)}"""


def _listed(calls: list[str]) -> str:
    """A list; three or more calls that are alike, or whose numbers count on, share a loop."""
    parts = []
    while calls:
        runs = groupby(_steps(*pair) for pair in pairwise(calls))
        steps, run = next(runs, (None, ()))
        length = 1 + len(list(run))
        if steps is None or length < 3:
            parts.append(calls.pop(0))
            continue
        frame, numbers = re.sub(r"\d+", "{}", calls[0]), re.findall(r"\d+", calls[0])
        moved = [f"{n} + {by} * i" if by else n for n, by in zip(numbers, steps, strict=True)]
        each = frame.format(*moved).replace(" 1 * i", " i")
        parts.append(f"*[{each} for {'i' if any(steps) else '_'} in range({length})]")
        calls = calls[length:]
    whole = len(parts) == 1 and parts[0].startswith("*")
    return parts[0][1:] if whole else f"[{', '.join(parts)}]"


def _steps(one: str, other: str) -> list[int] | None:
    """By how much the numbers of a call differ from those of another; None if more does."""
    if re.sub(r"\d+", "", one) != re.sub(r"\d+", "", other):
        return None
    pairs = zip(re.findall(r"\d+", one), re.findall(r"\d+", other), strict=True)
    return [int(after) - int(before) for before, after in pairs]


def _initialise(net: Net) -> str:
    """The body of ``initialise``: loops over the modules that pass a test."""
    spec, gain = net.spec, _literal(net.spec.init_gain)
    weighted = [m for m in net.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    types = sorted({f"nn.{type(module).__name__}" for module in weighted})
    rule = f"nn.init.xavier_{'uniform' if spec.init == 'xavier_uniform' else 'normal'}_"
    spread, source, each = "N(0, 2 / fan-in)", "He et al. 2015", [f"{rule}(module.weight)"]
    if spec.init == "xavier":
        spread, source = "N(0, 2 / (fan-in + fan-out))", "Glorot 2010"
    elif spec.init == "xavier_uniform":
        spread, source = "±√(6 / (fan-in + fan-out)) uniformly", "Glorot 2010"
    else:
        each = ['nn.init.kaiming_normal_(module.weight, nonlinearity="relu")']
    zero = ["nn.init.zeros_(module.bias)"]
    if gain != "1":
        spread += f" × {gain}"
        each += ["with torch.no_grad():", f"    module.weight.mul_({gain})"]
    if any(module.bias is None for module in weighted):
        zero = ["if module.bias is not None:", f"    {zero[0]}"]
    tested = types[0] if len(types) == 1 else f"({', '.join(types)})"
    loops = [(f"isinstance(module, {tested})", each + zero)]

    # Gates start at their bias; a sigmoid's weights are drawn by Glorot's rule.
    gates = [(path, gate) for path, gate in net.named_modules() if isinstance(gate, layers.Gate)]
    if gates:
        (path, gate), *_ = gates
        unit, _, name = path.rpartition(".")
        kind = type(net.get_submodule(unit))
        ungated = [type(unit) for unit in net.units].count(kind) > len(gates)
        test = f"isinstance(module, {kind.__name__})"
        test += f" and module.{name} is not None" if ungated else ""
        weighted_layer, *_ = dict(gate.named_children())
        lines = [f"gate = module.{name}.{weighted_layer}", f"{rule}(gate.weight)"]
        lines += [f"nn.init.constant_(gate.bias, {_literal(gate.initial_bias)})"]
        loops.append((test, lines))

    # The size at which F starts, where that was chosen: as the shortcuts alone, or F / L.
    if spec.init in ("zero_last_scale", "branch_scaled"):
        residual = next(unit for unit in net.units if isinstance(unit, ResidualUnit)).residual
        kinds = (nn.BatchNorm2d, nn.Conv2d, nn.Linear)
        *_, last = (name for name, layer in residual.named_children() if isinstance(layer, kinds))
        weight = f"module.residual.{last}.weight"
        lines = ["with torch.no_grad():", f"    {weight}.div_({len(net.units)})"]
        lines = [f"nn.init.zeros_({weight})"] if spec.init == "zero_last_scale" else lines
        loops.append(("isinstance(module, ResidualUnit)", lines))

    about = [docstring(f"Weights from {spread}, biases 0 ({source}).", indent=8)]
    for test, lines in loops:
        about += ["        for module in self.modules():", f"            if {test}:"]
        about.append(indented(lines, 16))
    return "\n".join(about)
