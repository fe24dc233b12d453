"""Names of nets: the papers' rows, patterns for any depth, and the short tokens of links.

A token is a name and what differs from it: ``resnet_v2_56;width=8;batch_norm=false``. The image
shape and the classes are never part of one; they come from the data
(:func:`explorer.structure.specs.fit`).
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from explorer.errors import SpecError
from explorer.structure.library_nets import ExternalSpec, is_external
from explorer.structure.specs import (
    FAMILIES,
    FITNET_STAGES,
    DenseSpec,
    HighwaySpec,
    Layout,
    NetBase,
    NetSpec,
    Order,
    PlainSpec,
    ResidualSpec,
    Shortcut,
    parse_net,
)

Paper = Literal["He15", "He16", "SGS15", "Huang16", "SD16", "programs", "beside"]
PAPERS: dict[Paper, str] = {
    "He15": "Deep Residual Learning for Image Recognition (arXiv 1512.03385)",
    "He16": "Identity Mappings in Deep Residual Networks (arXiv 1603.05027)",
    "SGS15": "Highway Networks; Training Very Deep Networks (arXiv 1505.00387, 1507.06228)",
    "Huang16": "Densely Connected Convolutional Networks (arXiv 1608.06993)",
    "SD16": "Deep Networks with Stochastic Depth (arXiv 1603.09382)",
    "programs": "Programs: the families side by side, 25 units each; ImageNet's v2 nets; the "
    "smallest ResNets",
    "beside": "Nets of the same kinds that are in none of these papers",
}
Statistic = Literal["best", "mean", "median"]
_FROM_DATA = ("input_shape", "classes")


@dataclass(frozen=True)
class PaperError:
    """A test error that a paper prints for a net, and how it came about.

    Two of them can be compared where all but ``percent`` and ``source`` is alike.

    Attributes:
        percent: Top-1 of ImageNet; None where the paper says that training failed (above 20 %).
        source: Table of the row's paper, or of another one, which it then names.
        of: Which of ``runs`` trainings; None where the paper prints one number, and not of how
            many runs it is.
        images: CIFAR-10's test images, after training with shifts and flips; or ImageNet's
            validation images.
        crops: How many views of each image the answer is the mean of.
        side: Pixels a side of such a view.
    """

    percent: float | None
    source: str
    of: Statistic | None = None
    runs: int | None = None
    images: Literal["CIFAR-10", "ImageNet"] = "CIFAR-10"
    crops: int = 1
    side: int = 32

    @property
    def protocol(self) -> str:
        """``median of 5``, ``10 crops of 224²``; empty for one number on whole images."""
        words = [f"{self.of} of {self.runs}"] if self.of else []
        if self.images == "ImageNet":
            words.append(f"{self.crops} crop{'' if self.crops == 1 else 's'} of {self.side}²")
        return ", ".join(words)

    def __str__(self) -> str:
        """``6.43 (best of 5)``; ``failed (median of 5)``."""
        shown = "failed" if self.percent is None else f"{self.percent:.2f}"
        return f"{shown} ({self.protocol})" if self.protocol else shown


@dataclass(frozen=True)
class NetRow:
    """A net of the papers, or beside them.

    Attributes:
        paper: Where it comes from; a key of ``PAPERS``.
        summary: One line for a list.
        errors: Test errors that the papers print for this very net; none where they print none.
        source: Table or figure of the net.
        note: What of the net is not the paper's, where it does not say everything; or what is
            disputed.
    """

    name: str
    spec: NetSpec
    paper: Paper
    summary: str
    errors: tuple[PaperError, ...] = ()
    source: str = ""
    note: str = ""

    @property
    def measured_on(self) -> str:
        """The images that its paper measures it on."""
        return "ImageNet" if self.spec.layout == "imagenet" else "CIFAR-10"


@dataclass(frozen=True)
class Pattern:
    """Names of any depth, such as ``plain_N``; ``fields`` is what the name stands for."""

    text: str
    regex: re.Pattern[str]
    fields: dict[str, Any]

    def match(self, name: str) -> dict[str, Any] | None:
        """The fields of a net of this name; None where the name is not of this pattern."""
        found = self.regex.fullmatch(name)
        if found is None:
            return None
        numbers = {key: int(value) for key, value in found.groupdict().items()}
        fields = {**self.fields, **numbers}
        if fields["family"] in ("plain", "residual") and "layout" not in fields:
            basic = (fields["depth"] - 2) % 6 == 0 or (fields["depth"] - 2) % 9 != 0
            fields["unit"] = "basic" if basic else "bottleneck"
        return fields


def _pattern(text: str, **fields: Any) -> Pattern:
    source = text.replace("N", r"(?P<depth>[0-9]{1,6})").replace(
        "K", r"(?P<growth_rate>[0-9]{1,6})"
    )
    return Pattern(text, re.compile(source), fields)


_FC = {"layout": "fc", "batch_norm": False}
_PYTORCH = "_pytorch"  # ends the names of nets that are a program's but for these conventions
_IMAGENET_V2 = {
    "family": "residual",
    "layout": "imagenet",
    "order": "full_preact",
    "stride_unit": "last",
    "norm_decay": 0.997,
}
# As the programs have them. In slim a convolution with batch norm has no bias, others have one;
# batch norm's scale is off by default, and its ε is 1e-3; "same" padding ends in the odd zero,
# but for convolutions of stride 2 in the ImageNet program, which pads them itself.
_IMAGENET_PROGRAM = {"conv_bias": "unnormalised", "asymmetric_padding": "pools"}
_REFERENCE_PROGRAM = {
    "layout": "reference",
    "norm_scale": False,
    "norm_eps": 1e-3,
    "norm_decay": 0.999,
    "asymmetric_padding": "all",
    "init": "xavier_uniform",
}
_SMALL_PROGRAM = {  # Keras's defaults
    "bare_frame": True,
    "conv_bias": "all",
    "norm_eps": 1e-3,
    "norm_decay": 0.99,
    "init": "xavier_uniform",
}
PATTERNS: tuple[Pattern, ...] = (
    _pattern("plain_N", family="plain"),
    _pattern("resnet_v1_N", family="residual", order="original"),
    _pattern("resnet_v2_N", family="residual", order="full_preact"),
    _pattern("highway_N", family="highway"),
    _pattern("densenet_N_kK", family="dense"),
    _pattern("densenet_bc_N_kK", family="dense", bottleneck=True, compression=0.5),
    # SGS15 §3.1: widths for which a plain and a highway layer have about 5,000 parameters each
    _pattern("fc_plain_N", family="plain", width=71, **_FC),
    _pattern("fc_residual_N", family="residual", width=71, init="branch_scaled", **_FC),
    _pattern("fc_highway_N", family="highway", width=50, **_FC),
    # as in the authors' program: no batch norm, Glorot's initialisation
    _pattern(
        "highway_fitnet_N", family="highway", layout="fitnet", batch_norm=False, init="xavier"
    ),
    _pattern("imagenet_plain_N", family="plain", layout="imagenet"),
    _pattern("imagenet_resnet_v1_N", family="residual", layout="imagenet", order="original"),
    _pattern("imagenet_resnet_v2_N", **_IMAGENET_V2, **_IMAGENET_PROGRAM),
    _pattern(f"imagenet_resnet_v2_N{_PYTORCH}", **_IMAGENET_V2),
    _pattern("imagenet_densenet_N", family="dense", layout="imagenet"),
    _pattern("reference_plain_N", family="plain", **_REFERENCE_PROGRAM),
    _pattern("reference_residual_N", family="residual", **_REFERENCE_PROGRAM, conv_bias="units"),
    _pattern("reference_highway_N", family="highway", **_REFERENCE_PROGRAM),
    _pattern("reference_dense_N", family="dense", **_REFERENCE_PROGRAM),
    *(
        _pattern(f"reference_{family}_N{_PYTORCH}", family=family, layout="reference")
        for family in ("plain", "residual", "highway", "dense")
    ),
)
_PREFIXES: dict[Layout, str] = {
    "fc": "fc_",
    "fitnet": "highway_fitnet_",
    "imagenet": "imagenet_",
    "reference": "reference_",
    "small": "small_",
}


# --------------------------------------------------------------------------------- the rows

NETS: dict[str, NetRow] = {}


def register(row: NetRow) -> None:
    """Add a row to ``NETS``; a name that is taken is an error."""
    if row.name in NETS:
        raise ValueError(f"the net {row.name!r} is registered twice")
    NETS[row.name] = row


def _add(
    paper: Paper,
    name: str,
    summary: str,
    *errors: PaperError,
    source: str = "",
    like: str | None = None,
    note: str = "",
    **changes: Any,
) -> None:
    fields = _pattern_fields(like or name)
    assert fields is not None, name
    source = source or (errors[0].source if errors else "")
    spec = parse_net({**fields, **changes})
    register(NetRow(name, spec, paper, summary, errors, source, note))


def _median(percent: float | None, table: str) -> PaperError:
    """He16's CIFAR-10 errors: the median of five runs."""
    return PaperError(percent, table, "median", 5)


def _one(percent: float, table: str) -> PaperError:
    """One number, of which the paper does not say how many runs it is of."""
    return PaperError(percent, table)


def _crops(percent: float, table: str, crops: int) -> PaperError:
    """ImageNet's validation images, top-1."""
    return PaperError(percent, table, images="ImageNet", crops=crops, side=224)


def _pattern_fields(name: str) -> dict[str, Any] | None:
    return next((f for pattern in PATTERNS if (f := pattern.match(name)) is not None), None)


for _depth in (20, 32, 44, 56, 110):
    _drawn = "Fig 6 left" if _depth < 110 else "Fig 6 left, in its caption"
    _add("He15", f"plain_{_depth}", f"{_depth} layers without shortcuts", source=_drawn)
for _depth in (164, 1001, 1202):
    _what = f"{_depth} layers{' in bottlenecks' if _depth == 1001 else ''} without shortcuts"
    _add("beside", f"plain_{_depth}", _what)
for _depth, *_errors in (
    (20, _one(8.75, "Table 6")),
    (32, _one(7.51, "Table 6")),
    (44, _one(7.17, "Table 6")),
    (56, _one(6.97, "Table 6")),
    (
        110,
        PaperError(6.43, "Table 6", "best", 5),
        PaperError(6.61, "Table 6", "mean", 5),
        _median(6.61, "He16 Table 2"),
    ),
    (1202, _one(7.93, "Table 6")),
):
    _what = f"{_depth} layers, an identity shortcut every two"
    _add("He15", f"resnet_v1_{_depth}", _what, *_errors)

for _depth in (20, 32, 44, 56):
    _add("beside", f"resnet_v2_{_depth}", f"{_depth} layers, full pre-activation")
_add("He16", "resnet_v2_110", "110 layers, full pre-activation", _median(6.37, "Table 2"))
for _named, _widen in ((16, 8), (28, 10), (40, 4)):
    _add(
        "beside",
        f"wide_resnet_{_named}_{_widen}",
        f"{_named - 2} layers, {_widen} times as wide, full pre-activation: WRN-{_named}-{_widen} "
        "of Zagoruyko & Komodakis 2016",
        note="its paper counts the three projections as layers, too",
        like=f"resnet_v2_{_named - 2}",
        widen=_widen,
        shortcut="B",
    )
_BOTTLENECK = {"unit": "bottleneck"}
for _name, _what, _error in (
    ("resnet_v1_164", "164 layers in bottlenecks", _median(5.93, "Table 2")),
    (
        "resnet_v2_164",
        "164 layers in bottlenecks, full pre-activation",
        _median(5.46, "Table 2"),
    ),
    ("resnet_v1_1001", "1001 layers in bottlenecks", _median(7.61, "Table 3")),
    (
        "resnet_v2_1001",
        "1001 layers in bottlenecks, full pre-activation",
        _median(4.92, "Table 3"),
    ),
):
    _add("He16", _name, _what, _error, **_BOTTLENECK)
for _order, _where, *_percents in (
    ("bn_after_addition", "batch norm after the addition", 8.17, 6.50),
    ("relu_before_addition", "ReLU before the addition", 7.84, 6.14),
    ("relu_only_preact", "ReLU-only pre-activation", 6.71, 5.91),
):
    for _depth, _kind, _percent in zip((110, 164), ("", " in bottlenecks"), _percents, strict=True):
        _add(
            "He16",
            f"resnet_{_depth}_{_order}",
            f"{_depth} layers{_kind}, {_where}",
            _median(_percent, "Table 2"),
            like=f"resnet_v1_{_depth}",
            **(_BOTTLENECK if _kind else {}),
            order=_order,
        )
_FAILED = _median(None, "Table 1")
_add(
    "He16",
    "resnet_110_constant_scaling",
    "110 layers, shortcut × 0.5 and F × 0.5",
    _median(12.35, "Table 1"),
    like="resnet_v1_110",
    shortcut="constant_scaling",
)
_add(
    "He16",
    "resnet_110_scaled_shortcut",
    "110 layers, shortcut × 0.5 and F × 1",
    _FAILED,
    like="resnet_v1_110",
    shortcut="constant_scaling",
    residual_scale=1,
)
_add(
    "He16",
    "resnet_110_zero_shortcut",
    "110 layers, shortcut × 0 and F × 1",
    _FAILED,
    like="resnet_v1_110",
    shortcut="constant_scaling",
    shortcut_scale=0,
    residual_scale=1,
)
_CONTESTED = (
    "the gated rows are contested: a co-author of the highway papers finds mistakes in their "
    "design (Weighted Skip Connections are Not Harmful for Deep Nets, 2025); vary gate_bias"
)
for _bias, _percent in ((-6, 8.70), (-7, 9.81)):
    _add(
        "He16",
        "resnet_110_exclusive_gating" + ("" if _bias == -6 else f"_{-_bias}"),
        f"110 layers, shortcut × (1 − g) and F × g, gate bias −{-_bias}",
        _median(_percent, "Table 1"),
        like="resnet_v1_110",
        note=_CONTESTED if _bias == -6 else "",
        shortcut="exclusive_gating",
        gate_bias=_bias,
    )
for _bias, _percent in ((-6, 6.91), (0, 12.86)):
    _add(
        "He16",
        "resnet_110_shortcut_only_gating" + ("" if _bias == -6 else "_0"),
        f"110 layers, shortcut × (1 − g), gate bias {'−6' if _bias else '0'}",
        _median(_percent, "Table 1"),
        like="resnet_v1_110",
        shortcut="shortcut_only_gating",
        gate_bias=_bias,
    )
_add(
    "He16",
    "resnet_110_conv1x1",
    "110 layers, a 1×1 convolution on every shortcut",
    _median(12.22, "Table 1"),
    like="resnet_v1_110",
    shortcut="conv1x1",
)
_add(
    "He16",
    "resnet_110_dropout",
    "110 layers, dropout 0.5 on every shortcut",
    _FAILED,
    like="resnet_v1_110",
    shortcut="dropout",
)

for _depth in (10, 20, 50, 100):
    _what = f"{_depth} fully connected layers of width 71"
    _add("SGS15", f"fc_plain_{_depth}", _what, source="Fig 1")
for _depth in (10, 20, 50, 100):
    _what = f"{_depth} fully connected layers of width 50, gated"
    _add("SGS15", f"fc_highway_{_depth}", _what, source="Fig 1")
_add("beside", "fc_residual_50", "50 fully connected layers of width 71, x + act(Wx + b)")
for _depth in (19, 25, 40):
    _add("beside", f"highway_{_depth}", f"{_depth} layers, convolutional highway units")

for _depth, _percent, _what, _note in (
    (
        11,
        10.82,
        "FitNet 1 with highway layers",
        "the paper prints 11 layers and about 236K parameters; 16, 32 and 64 maps and 250 hidden "
        "units are our choice, which gives 236,328",
    ),
    (
        19,
        7.54,
        "FitNet 4 with highway layers",
        "the convolutions of the authors' program, without its dropout; the paper prints about "
        "2.3M parameters; 250 hidden units are our choice, as for 11 layers, and give 2,277,688",
    ),
    (
        32,
        8.80,
        "3×3 and 1×1 fields in turns",
        "the paper prints the fields, 32 layers and about 1.25M parameters; 32, 64 and 96 maps "
        "and the head (a convolution to the classes) are our choice, which gives 1,254,872",
    ),
):
    _add(
        "SGS15",
        f"highway_fitnet_{_depth}",
        f"{_depth} layers, {_what}",
        _one(_percent, "Table 2, 100 less the accuracy"),
        note=_note,
    )

for _name, _percent in (
    ("densenet_40_k12", 5.24),
    ("densenet_100_k12", 4.10),
    ("densenet_bc_100_k12", 4.51),
    ("densenet_bc_250_k24", 3.62),
    ("densenet_bc_190_k40", 3.46),
):
    _depth, _growth = re.findall(r"\d+", _name)
    _kind = ", bottlenecks and compression 0.5" if "_bc_" in _name else ""
    _add(
        "Huang16",
        _name,
        f"{_depth} layers, growth rate {_growth}{_kind}",
        _one(_percent, "Table 2"),
    )

_add(
    "SD16",
    "resnet_110_stochastic_depth",
    "110 layers, the last unit survives with probability 0.5",
    _one(5.23, "first version"),
    like="resnet_v1_110",
    survival_prob=0.5,
)

_add("He15", "imagenet_plain_34", "34 layers without shortcuts", _crops(28.54, "Table 3", 10))
_add("beside", "imagenet_resnet_v1_18", "18 layers, projections where sizes change")
_add("He15", "imagenet_resnet_v1_34", "34 layers, option B", _crops(24.52, "Table 3", 10))
for _option, _percent in (("A", 25.03), ("C", 24.19)):
    _add(
        "He15",
        f"imagenet_resnet_34_option_{_option.lower()}",
        f"34 layers, option {_option}",
        _crops(_percent, "Table 3", 10),
        like="imagenet_resnet_v1_34",
        shortcut=_option,
    )
for _depth, _percent in ((50, 22.85), (101, 21.75), (152, 21.43)):
    _add(
        "He15",
        f"imagenet_resnet_{_depth}_stride_1x1",
        f"{_depth} layers in bottlenecks, stride on the first 1×1",
        _crops(_percent, "Table 3", 10),
        like=f"imagenet_resnet_v1_{_depth}",
        stride_conv="1x1",
    )
for _depth in (50, 101, 152, 200):
    _what = f"{_depth} layers in bottlenecks, stride on the 3×3, as torchvision has it"
    _add("beside", f"imagenet_resnet_v1_{_depth}", _what)
for _depth in (50, 101, 152, 200):
    _add(
        "programs",
        f"imagenet_resnet_v2_{_depth}",
        f"{_depth} layers in bottlenecks, stride in the last unit of a stage",
    )
for _depth, _percent in ((121, 25.02), (169, 23.80), (201, 22.58)):
    _add(
        "Huang16",
        f"imagenet_densenet_{_depth}",
        f"{_depth} layers in four blocks, growth rate 32, bottlenecks and compression 0.5",
        _crops(_percent, "Table 3", 1),
    )

_TESTS_BY_BATCH = "batch norm tests by running statistics here, in the program by the batch's own"
for _name, _units, _note in (
    (
        "plain",
        "one layer each",
        "there is no such program: this is the residual one's frame with the dense one's layers "
        "(convolution, batch norm, ReLU)",
    ),
    ("residual", "x + F(x), F two pre-activated layers", _TESTS_BY_BATCH),
    ("highway", "transform bias −1", _TESTS_BY_BATCH),
    ("dense", "each block's last maps go on", _TESTS_BY_BATCH),
):
    _what = f"25 units of 64 maps in five groups, {_units}"
    _add("programs", f"reference_{_name}_25", _what, note=_note)
for _version in ("v1", "v2"):
    _small = {"family": "residual", "layout": "small", "order": _version}
    _what = "6 layers: one unit of 16 maps, one of 32, flattened"
    register(
        NetRow(
            f"small_resnet_{_version}",
            parse_net({**_small, **_SMALL_PROGRAM}),
            "programs",
            _what,
            note="its classifier starts by Glorot's rule here, in the program by He's",
        )
    )
    _what = f"6 layers: the same with PyTorch's conventions and the papers' frame ({_version})"
    register(NetRow(f"small_resnet_{_version}{_PYTORCH}", parse_net(_small), "beside", _what))


# ------------------------------------------------------------------------------------ tokens


def spec_of(token: str) -> NetSpec:
    """The net of a name or token.

    Raises:
        SpecError: One sentence: what is unknown or impossible, and what is nearest or allowed.
    """
    name, *changes = (part.strip() for part in token.split(";"))
    fields = _fields_of(name)
    if fields is None:
        raise SpecError(_unknown(name))
    given: dict[str, str] = {}
    for change in changes:
        key, equals, value = (part.strip() for part in change.partition("="))
        if not equals or not key:
            raise SpecError(
                f"{change[:40]!r} in {token[:60]!r} is not a change: write field=value after each "
                f"semicolon, such as {name[:40]};width=8."
            )
        if key in given:
            raise SpecError(f"{key[:40]!r} is given twice in {token[:60]!r}; leave one out.")
        if key in _FROM_DATA or key == "family":
            source = "from the name" if key == "family" else "from the data"
            raise SpecError(f"{key!r} in {token[:60]!r} cannot be chosen there: it comes {source}.")
        given[key] = value
    return parse_net({**fields, **given})


@lru_cache(maxsize=1024)  # every click on the page asks for the same few
def token_of(spec: NetSpec) -> str:
    """The shortest token of a net: ``spec_of(token_of(spec))`` differs at most in what comes
    from the data, its ``input_shape`` and ``classes``."""
    if isinstance(spec, ExternalSpec):  # adapted nets bring one in the place of a NetSpec
        return spec.name
    wanted = _choices(spec)
    tokens = []
    for name in _candidates(spec):
        if _fields_of(name) is None:  # before spec_of looks for what it may have meant
            continue
        try:
            base = _choices(spec_of(name))
        except SpecError:  # a pattern that has no net of this depth
            continue
        if base["family"] == wanted["family"]:
            changes = [f"{k}={_text(v)}" for k, v in wanted.items() if base[k] != v]
            tokens.append(";".join([name, *changes]))
    return min(tokens, key=lambda token: (len(token), token))


def _fields_of(name: str) -> dict[str, Any] | None:
    row = NETS.get(name)
    return row.spec.model_dump() if row else _pattern_fields(name)


def _choices(spec: NetSpec) -> dict[str, Any]:
    return spec.model_dump(exclude=set(_FROM_DATA))


def _candidates(spec: NetSpec) -> list[str]:
    """Names that may stand for ``spec``: patterns at its depth, and rows of its depth."""
    growth = str(spec.growth_rate) if isinstance(spec, DenseSpec) else ""
    names = {p.text.replace("N", str(spec.depth)).replace("K", growth) for p in PATTERNS}
    rows = {n for n, row in NETS.items() if row.spec.depth == spec.depth}
    own = _PREFIXES.get(spec.layout)
    others = tuple(prefix for prefix in _PREFIXES.values() if prefix != own)
    alike = (n for n in names | rows if not n.startswith(others))
    return sorted(n for n in alike if own is None or n.startswith(own))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return str(value)


def _unknown(name: str) -> str:
    if is_external(name):
        return (
            f"{name[:60]} is another library's net, which has no spec to choose from; "
            f"explorer.create_net({name[:60]!r}) builds it to be looked at."
        )
    from explorer.structure.cards import shipped  # which need names to be read

    if name in shipped():
        own = token_of(shipped()[name].spec)
        return f"{name} is a trained net: here a net is chosen by its own name, {own}."
    near = difflib.get_close_matches(name.lower(), NETS, n=1, cutoff=0.5)
    ways = ", ".join(pattern.text for pattern in PATTERNS)
    hint = f"did you mean {near[0]!r}?" if near else f"names are {ways} (N the depth)."
    shown = name if len(name) <= 60 else name[:57] + "…"
    return f"There is no net named {shown!r}: {hint}"


def printed(spec: NetSpec) -> list[str]:
    """What papers print for a net of ``NETS``: a line for each number, with how it came about."""
    row = NETS.get(token_of(spec))
    lines = []
    for error in () if row is None else row.errors:
        assert row is not None
        table = error.source if error.source.startswith(tuple(PAPERS)) else ""
        table = table or f"{row.paper} {error.source}"
        what = "test error" if error.images == "CIFAR-10" else "top-1 validation error"
        shown = "over 20 % (failed)" if error.percent is None else f"{error.percent:.2f} %"
        how = error.protocol or "one number, not said of how many runs"
        lines.append(f"{table}: {error.images} {what} {shown} ({how})")
    return lines


# ------------------------------------------------------------------------------------ titles

_ORDER_TITLES: dict[Order, str] = {
    "original": "v1",
    "full_preact": "v2",
    "bn_after_addition": "BN after addition",
    "relu_before_addition": "ReLU before addition",
    "relu_only_preact": "ReLU-only pre-activation",
}
_SHORTCUT_TITLES: dict[Shortcut, str] = {
    "A": "option A",
    "B": "option B",
    "C": "option C",
    "constant_scaling": "scaled shortcut",
    "exclusive_gating": "exclusive gating",
    "shortcut_only_gating": "shortcut-only gating",
    "conv1x1": "1×1 conv shortcut",
    "dropout": "dropout shortcut",
}
# By field of a spec: the words of its values, or a phrase that the value goes into.
_CONVENTION_WORDS: dict[str, str | dict[Any, str]] = {
    "norm_decay": "BN decay {:g}",
    "norm_scale": {True: "BN with scale", False: "BN without scale"},
    "norm_eps": "BN ε {:g}",
    "conv_bias": {
        "usual": "usual biases",
        "unnormalised": "biases where no BN follows",
        "units": "biases in units",
        "all": "biases everywhere",
    },
    "asymmetric_padding": {
        "none": "even padding",
        "pools": "asymmetric pools",
        "all": "asymmetric padding",
    },
    "bare_frame": {True: "bare frame", False: "BN in the frame"},
    "init": {
        "he": "He",
        "xavier": "Xavier",
        "xavier_uniform": "Xavier uniform",
        "zero_last_scale": "last scale 0",
        "branch_scaled": "F scaled",
    },
}


def title_of(spec: NetSpec) -> str:
    """A short title: ``ResNet v2 56``, ``Plain 56, width 8``, ``Highway 50, fully connected``."""
    if isinstance(spec, ExternalSpec):
        return spec.name
    if isinstance(spec, DenseSpec):
        title, extras = _dense_title(spec)
    elif isinstance(spec, ResidualSpec) and spec.layout in ("cifar", "imagenet", "small"):
        title, extras = _resnet_title(spec)
    else:
        family = {"plain": "Plain", "residual": "Residual", "highway": "Highway"}[spec.family]
        title, extras = f"{family} {spec.depth}", []
        if isinstance(spec, PlainSpec) and spec.layout in ("cifar", "imagenet"):
            usual = spec_of(f"{_PREFIXES.get(spec.layout, '')}plain_{spec.depth}")
            if isinstance(usual, PlainSpec) and spec.unit != usual.unit:
                extras.append("bottlenecks" if spec.unit == "bottleneck" else "two-layer units")
    frames: dict[Layout, str] = {
        "fc": "fully connected",
        "fitnet": "FitNet",
        "imagenet": "ImageNet",
        "reference": "reference",
        "small": "small",
    }
    if spec.layout in frames:
        extras.insert(0, frames[spec.layout])
    extras += _shared_extras(spec)
    return ", ".join([title, *extras])


def _dense_title(spec: DenseSpec) -> tuple[str, list[str]]:
    kind = "B" if spec.bottleneck else ""
    kind += "C" if spec.compression < 1 else ""
    title = f"DenseNet{'-' if kind else ''}{kind} {spec.depth}"
    extras = [f"k = {spec.growth_rate}"]
    if spec.compression not in (0.5, 1):
        extras.append(f"θ = {spec.compression:g}")
    return title, extras


def _resnet_title(spec: ResidualSpec) -> tuple[str, list[str]]:
    version = _ORDER_TITLES[spec.order]
    named = version in ("v1", "v2")
    title = f"ResNet {version} {spec.depth}" if named else f"ResNet {spec.depth}"
    extras = [] if named else [version]
    # Only what differs from the net of that name needs saying.
    usual = spec_of(_usual_name(spec))
    assert isinstance(usual, ResidualSpec)
    cut = spec.shortcut == "constant_scaling" and spec.shortcut_scale == 0
    if cut:
        extras.append("shortcuts cut")
    elif spec.shortcut != usual.shortcut:
        extras.append(_SHORTCUT_TITLES[spec.shortcut])
    if spec.widen > 1:
        extras.append(f"stages {spec.widen} times as wide")
    if spec.stem != usual.stem:
        extras.append("3×3 stem")
    if spec.shortcut_pad != usual.shortcut_pad:
        extras.append("zeros on both sides")
    if spec.unit != usual.unit:
        extras.append("bottlenecks" if spec.unit == "bottleneck" else "two-layer units")
    if spec.stride_unit != usual.stride_unit:
        extras.append(f"stride in the {spec.stride_unit} unit")
    if spec.unit == "bottleneck" and spec.stride_conv != usual.stride_conv:
        extras.append(f"stride on the {spec.stride_conv.replace('x', '×')}")
    if spec.shortcut == "constant_scaling":
        extras += [] if cut else [f"λ = {spec.shortcut_scale:g}"]
        if spec.residual_scale != 1:
            extras.append(f"F × {spec.residual_scale:g}")
    if "gating" in spec.shortcut and spec.gate_bias != -6:
        extras.append(f"gate bias {spec.gate_bias:g}".replace("-", "−"))
    if spec.shortcut == "dropout" and spec.shortcut_dropout != 0.5:
        extras.append(f"rate {spec.shortcut_dropout:g}")
    return title, extras


def _usual_name(spec: ResidualSpec) -> str:
    version = "v2" if spec.order == "full_preact" else "v1"
    name = f"{_PREFIXES.get(spec.layout, '')}resnet_{version}"
    return name if spec.layout == "small" else f"{name}_{spec.depth}"


def has_program(spec: NetSpec) -> bool:
    """Whether a net of this layout and order is named for a program that settles conventions."""
    v2 = isinstance(spec, ResidualSpec) and spec.order == "full_preact"
    return spec.layout in ("reference", "small") or (spec.layout == "imagenet" and v2)


def pytorch_conventions(layout: str, family: str) -> dict[str, Any]:
    """What is usual in PyTorch, for the fields that :func:`usual_conventions` has."""
    fields = FAMILIES[family].model_fields
    usual = {name: fields[name].default for name in _CONVENTION_WORDS if name in fields}
    if layout == "imagenet" and family == "residual":
        usual["norm_decay"] = _IMAGENET_V2["norm_decay"]
    return usual


def usual_conventions(layout: str, family: str) -> dict[str, Any]:
    """What the names of this layout's nets stand for: a program's choices, or what is usual."""
    own: dict[str, Any] = {}
    if layout == "reference":
        own = {**_REFERENCE_PROGRAM, **({"conv_bias": "units"} if family == "residual" else {})}
    elif layout == "small":
        own = _SMALL_PROGRAM
    elif layout == "imagenet" and family == "residual":
        own = _IMAGENET_PROGRAM
    elif layout == "fitnet":
        own = {"init": "xavier"}
    elif layout == "fc" and family == "residual":
        own = {"init": "branch_scaled"}
    usual = pytorch_conventions(layout, family)
    return {name: own.get(name, value) for name, value in usual.items()}


def _convention_extras(spec: NetSpec) -> list[str]:
    """What of a net's conventions is not its name's; in one phrase where all are PyTorch's."""
    pytorch = pytorch_conventions(spec.layout, spec.family)
    usual = usual_conventions(spec.layout, spec.family)
    if spec.layout == "imagenet" and not has_program(spec):
        usual = pytorch = {**pytorch, "norm_decay": NetBase.model_fields["norm_decay"].default}
    own = {name: getattr(spec, name) for name in usual}
    if own != usual and own == pytorch and has_program(spec):
        return ["PyTorch's conventions"]
    words: list[str] = []
    for name, value in own.items():
        if value != usual[name]:
            said = _CONVENTION_WORDS[name]
            words.append(said.format(value) if isinstance(said, str) else said[value])
    return words


def _usual_width(spec: PlainSpec | ResidualSpec | HighwaySpec) -> int:
    if spec.layout == "fc":
        return 50 if isinstance(spec, HighwaySpec) else 71
    if spec.layout == "fitnet":
        return FITNET_STAGES[spec.depth][0][0]
    return 64 if spec.layout in ("imagenet", "reference") else 16


def _shared_extras(spec: NetSpec) -> list[str]:
    extras = []
    fully_connected = spec.layout == "fc"
    if not isinstance(spec, DenseSpec):
        if spec.width != _usual_width(spec):
            extras.append(f"width {spec.width}")
        if spec.activation != "relu":
            extras.append(spec.activation)
    bias = -1 if spec.layout == "reference" else -2
    if isinstance(spec, HighwaySpec) and spec.transform_bias != bias:
        extras.append(f"bias {spec.transform_bias:g}".replace("-", "−"))
    if isinstance(spec, ResidualSpec) and spec.survival_prob < 1:
        extras.append(f"survival {spec.survival_prob:g}")
        if spec.survival_decay != "linear":
            extras.append("uniform")
    without_norm = fully_connected or spec.layout == "fitnet"
    if spec.batch_norm and without_norm:
        extras.append("batch norm")
    if not spec.batch_norm and not without_norm:
        extras.append("no batch norm")
    extras += _convention_extras(spec)
    if spec.init_gain != 1:
        extras.append(f"init × {spec.init_gain:g}")
    if spec.padding != "zeros":
        extras.append(f"{spec.padding} padding")
    return extras


__all__ = [
    "NETS",
    "PAPERS",
    "PATTERNS",
    "NetRow",
    "Paper",
    "PaperError",
    "has_program",
    "printed",
    "pytorch_conventions",
    "register",
    "spec_of",
    "title_of",
    "token_of",
    "usual_conventions",
]
