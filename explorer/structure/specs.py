"""What a person chooses: nets, data, training, and the experiment that joins them.

Every spec is a frozen Pydantic model without extra fields. It round-trips through JSON; nets also
round-trip through the short tokens of :mod:`explorer.structure.names`, which links are made of.
Nothing here imports torch: the server validates and draws from specs alone.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar, cast, get_args

from annotated_types import Ge, Gt, Le, Lt
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from explorer.errors import SpecError
from explorer.system.bounded import plain_json
from explorer.writing.formats import OWN_IMAGES

Family = Literal["plain", "residual", "highway", "dense"]
Layout = Literal["cifar", "fc", "fitnet", "imagenet", "reference", "small"]
Initialisation = Literal["he", "xavier", "xavier_uniform", "zero_last_scale", "branch_scaled"]
Activation = Literal["relu", "tanh", "sigmoid"]
Padding = Literal["zeros", "circular", "reflect"]
ConvBias = Literal["usual", "unnormalised", "units", "all"]
AsymmetricPadding = Literal["none", "pools", "all"]
UnitKind = Literal["basic", "bottleneck"]
Shortcut = Literal[
    "A",
    "B",
    "C",
    "constant_scaling",
    "exclusive_gating",
    "shortcut_only_gating",
    "conv1x1",
    "dropout",
]
Order = Literal[
    "original",
    "bn_after_addition",
    "relu_before_addition",
    "relu_only_preact",
    "full_preact",
]
ORDER_ALIASES: dict[str, Order] = {"v1": "original", "v2": "full_preact"}
SEED = 7  # of all that is drawn at random, where nobody says another
MAX_SEED = 2**31 - 1
MAX_LANES = 4
MAX_DEPTH = 1300  # the papers' deepest net has 1202 layers
MAX_SWEEP = 400  # trainings
MAX_STEPS = 10_000_000  # of one training
MAX_PARAMETERS = 1_000_000_000  # 4 GB of weights, and as much for gradients and momentum each

# Units of each stage by depth: He15 Table 1, and 200 layers of He16 Table 5; Huang16 Table 1.
IMAGENET_UNITS: dict[str, dict[int, tuple[int, ...]]] = {
    "basic": {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)},
    "bottleneck": {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3), 200: (3, 24, 36, 3)},
    "dense": {
        121: (6, 12, 24, 16),
        161: (6, 12, 36, 24),
        169: (6, 12, 32, 32),
        201: (6, 12, 48, 32),
    },
}
REFERENCE_GROUPS = 5
# SGS15 Table 2: (maps, gated units) of each stage by depth. 19 layers are as in the program that
# its authors published; see HighwaySpec for what the others are made from.
FITNET_STAGES: dict[int, tuple[tuple[int, int], ...]] = {
    11: ((16, 2), (32, 2), (64, 2)),
    19: ((32, 4), (80, 5), (128, 5)),
    32: ((32, 9), (64, 9), (96, 9)),
}
FITNET_HIDDEN = 250  # units of the fully connected layer


class Spec(BaseModel):
    """Frozen, closed base of every spec."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _either(depths: tuple[int, ...]) -> str:
    """``18 or 34``; ``50, 101, 152 or 200``."""
    *others, last = map(str, depths)
    return f"{', '.join(others)} or {last}" if others else last


def _nearest_depths(depth: int, step: int, offset: int, least: int) -> str:
    below = max(least, offset + step * ((depth - offset) // step))
    above = max(least, below + step) if below <= depth else below
    if above > MAX_DEPTH:
        above = below
    return f"{below}" if above == below else f"{below} and {above}"


class NetBase(Spec):
    """What all families share.

    Attributes:
        layout: The frame around the units. ``cifar``: 3×3 stem, three stages at full, half and
            quarter resolution, global average pool (He15 §4.2). ``fc``: fully connected (SGS15
            §3.1). ``imagenet``: 7×7 stem of stride 2, 3×3 max pool, four stages (He15 Table 1).
            ``fitnet``: SGS15 Table 2, see :class:`HighwaySpec`.
            ``reference``: five groups of units as wide as the stem, a convolution of stride 2
            after each, a last convolution to the classes. ``small``: two units, flattened. What
            is not chosen takes the layout's own value (:meth:`layout_defaults`).
        depth: Layers with weights on the longest path, as the paper counts them; in ``reference``
            nets, as their programs count, the units.
        input_shape: (channels, height, width) of one image.
        classes: Number of answers.
        batch_norm: Batch normalisation after (or before) every convolution.
        norm_decay: Share of its running mean and variance that batch norm keeps at each step.
        norm_scale: Whether batch norm has a learned scale γ beside its shift β.
        norm_eps: ε in batch norm's 1 / √(σ² + ε).
        conv_bias: Which convolutions (or fully connected layers) have a bias besides those that
            nets usually give one (gates, classifiers, and all where there is no batch norm):
            ``usual`` none, ``unnormalised`` those that no batch norm follows directly,
            ``units`` all inside the units, ``all`` every one.
        asymmetric_padding: Which layers of stride 2 pad as TensorFlow's "same" does, where an odd
            number of zeros is one more after a map than before it (0 and 1 for a 3×3 on an even
            size): ``none``, the max ``pools``, or ``all``, convolutions too.
        init: ``he`` (N(0, 2 / fan-in)), ``xavier`` (Glorot's normal distribution) or
            ``xavier_uniform`` (his uniform one), and for residual nets He's with the
            last layer of each F changed: ``zero_last_scale`` sets it to 0, so that units start as
            their shortcuts; ``branch_scaled`` divides it by the number of units, so that their
            sum keeps its size without batch norm, where He's rule alone doubles the variance
            with every unit. The rule does not follow the activation: its 2 is for ReLUs.
        init_gain: Factor on the standard deviation of the weights that ``init`` draws, which are
            all but the gates'. Below 1 signals and gradients shrink with every layer that no
            batch norm follows.
        padding: What convolutions find beyond a map's edge: ``zeros``, which take a share of
            the signal away at every layer, the larger the smaller the map; ``circular``, the
            other side, which takes none; ``reflect``, the map mirrored, which needs maps larger
            than the padding.
    """

    layout: Layout = "cifar"
    depth: int = Field(ge=2, le=MAX_DEPTH)
    input_shape: tuple[
        Annotated[int, Field(ge=1, le=16)],
        Annotated[int, Field(ge=4, le=1024)],
        Annotated[int, Field(ge=4, le=1024)],
    ] = (3, 32, 32)
    classes: int = Field(10, ge=2, le=100_000)
    batch_norm: bool = True
    norm_decay: float = Field(0.9, ge=0, lt=1)
    norm_scale: bool = True
    norm_eps: float = Field(1e-5, ge=1e-12, le=1)
    conv_bias: ConvBias = "usual"
    asymmetric_padding: AsymmetricPadding = "none"
    init: Initialisation = "he"
    init_gain: float = Field(1.0, ge=0.01, le=10)
    padding: Padding = "zeros"

    @classmethod
    def layout_defaults(cls, values: dict[str, Any]) -> dict[str, Any]:
        """What stands for the fields that are not among ``values``, where the layout decides."""
        known = cls.model_fields
        defaults = _LAYOUT_DEFAULTS.get(values.get("layout", ""), {})
        return {name: value for name, value in defaults.items() if name in known}

    @model_validator(mode="before")
    @classmethod
    def _as_the_layout_has_it(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("layout"), str):
            return {**cls.layout_defaults(values), **values}
        return values

    def depth_rule(self) -> tuple[int, int, int] | None:
        """(step, offset, least) of the possible depths; None where every depth is possible."""
        raise NotImplementedError

    def depth_table(self) -> tuple[int, ...] | None:
        """All possible depths, where there are but a few; None where a rule says them."""
        return None

    @model_validator(mode="after")
    def _possible_depth(self) -> NetBase:
        table = self.depth_table()
        if table is not None and self.depth not in table:
            raise ValueError(
                f"depth {self.depth} is not possible here: it must be {_either(table)}"
                f"{self._other_depths()}"
            )
        rule = self.depth_rule() if table is None else None
        if rule is None:
            return self
        step, offset, least = rule
        if self.depth < least or (self.depth - offset) % step:
            more = f" + {offset}" if offset else ""
            raise ValueError(
                f"depth {self.depth} is not possible here: it must be {step}n{more} "
                f"({least}, {least + step}, {least + 2 * step}, …); "
                f"try {_nearest_depths(self.depth, step, offset, least)}"
            )
        return self

    def _other_depths(self) -> str:
        """The depths that another choice would make possible, in words."""
        return ""

    @model_validator(mode="after")
    def _possible_padding(self) -> NetBase:
        if self.layout == "fc" and self.asymmetric_padding != "none":
            raise ValueError(
                "a fully connected net has nothing to pad: leave asymmetric_padding at 'none'"
            )
        if self.padding == "zeros":
            return self
        if self.layout == "fc":
            raise ValueError(
                "a fully connected net has no convolutions to pad: leave padding at 'zeros'"
            )
        if self.padding == "reflect":
            from explorer.structure.blueprint import unmirrored  # which is made of specs

            if (layer := unmirrored(cast(NetSpec, self))) is not None:
                size = "×".join(map(str, layer.input_shape[1:]))
                raise ValueError(
                    f"padding 'reflect' needs maps larger than the padding, and {layer.name} "
                    f"would get maps of {size}: choose 'zeros' or 'circular', or larger images"
                )
        return self


# He15 Table 1 and Huang16 Table 1; then the reference programs.
_LAYOUT_DEFAULTS: dict[str, dict[str, Any]] = {
    "imagenet": {
        "input_shape": (3, 224, 224),
        "classes": 1000,
        "width": 64,
        "shortcut": "B",
        "stride_conv": "3x3",
        "bottleneck": True,
        "compression": 0.5,
    },
    "reference": {"width": 64, "growth_rate": 64, "transform_bias": -1.0},
    "small": {"depth": 6, "shortcut": "B"},
}


def _for_residual_nets_only(init: str) -> str:
    if init in ("zero_last_scale", "branch_scaled"):
        raise ValueError(f"{init!r} is for residual nets: choose 'he' or 'xavier'")
    return init


def _unit_of_the_depth(values: dict[str, Any]) -> dict[str, Any]:
    """ImageNet's nets of 18 and 34 layers have two-layer units, the deeper ones bottlenecks."""
    if values.get("layout") != "imagenet":
        return {}
    basic = str(values.get("depth")) in map(str, IMAGENET_UNITS["basic"])
    return {"unit": "basic" if basic else "bottleneck"}


def _with_the_other_unit(unit: UnitKind) -> str:
    """``with unit 'basic', or 50 … with unit 'bottleneck'``, after the depths of one."""
    other = "basic" if unit == "bottleneck" else "bottleneck"
    depths = _either(tuple(IMAGENET_UNITS[other]))
    return f" with unit {unit!r}, or {depths} with unit {other!r}"


class PlainSpec(NetBase):
    """Stacked layers without shortcuts (He15 §4.2; SGS15 §3.1 where fully connected).

    Attributes:
        width: Filters of the first stage (doubled at each further stage, but not in ``reference``
            nets), or the units of every fully connected layer.
        unit: What would stand beside a shortcut: ``basic`` (two 3×3) or, for the plain twins of
            the deepest residual nets, ``bottleneck`` (1×1, 3×3, 1×1, the first of which carries
            the stride).
    """

    family: Literal["plain"] = "plain"
    layout: Literal["cifar", "fc", "imagenet", "reference"] = "cifar"
    width: int = Field(16, ge=1, le=2048)
    unit: UnitKind = "basic"
    activation: Activation = "relu"

    _init = field_validator("init")(_for_residual_nets_only)

    @classmethod
    def layout_defaults(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {**super().layout_defaults(values), **_unit_of_the_depth(values)}

    def depth_rule(self) -> tuple[int, int, int] | None:
        usual = _UNIT_RULES[self.unit]
        return {"fc": None, "reference": _REFERENCE_RULE}.get(self.layout, usual)

    def depth_table(self) -> tuple[int, ...] | None:
        return tuple(IMAGENET_UNITS[self.unit]) if self.layout == "imagenet" else None

    def _other_depths(self) -> str:
        return _with_the_other_unit(self.unit) if self.layout == "imagenet" else ""

    @model_validator(mode="after")
    def _meaningful(self) -> PlainSpec:
        if self.layout in ("fc", "reference") and self.unit != "basic":
            what = "fully connected" if self.layout == "fc" else "reference"
            raise ValueError(
                f"a {what} plain net has units of one layer: leave unit at its default"
            )
        return self


class ResidualSpec(NetBase):
    """Residual nets: He15 (``order='original'``) and He16 (all five orders, all shortcuts).

    Attributes:
        widen: Of ``cifar`` nets: how many times as wide their stages are as the stem, as in Wide
            ResNets (Zagoruyko & Komodakis 2016, arXiv 1605.07146), whose depths also count the
            three projections: WRN-28-10 is one of 26 layers here.
        unit: ``basic`` (two 3×3) or ``bottleneck`` (1×1, 3×3, 1×1, four times as wide outside);
            in ``imagenet`` nets the depth decides unless it is given.
        shortcut: A, B, C of He15 §3.3, or one of He16 Table 1. Of those, ``conv1x1`` is a bare
            convolution everywhere; the others keep option A where the shape changes, and only
            ``constant_scaling`` acts on it there too, as in the product of He16 Eq 8. Where only
            the resolution changes (``stride_unit='last'``), B subsamples by a 1×1 max pool.
        shortcut_pad: Where option A's maps of zeros stand: at the ``end`` of the unit's input, or
            on ``both`` sides of it, half before and half after, as in a public re-implementation
            that many checkpoints come from. Their weights have the same names and shapes.
        stem: Of ``imagenet`` nets: 7×7 of stride 2 and a max pool, or, as programs for images of
            32 pixels have it, a single ``3x3`` of stride 1.
        order: Where batch norm and ReLU stand (He16 Fig 4); ``v1`` and ``v2`` are aliases.
        stride_unit: The unit that halves the resolution: the ``first`` of each stage but the
            first stage, or the ``last`` of each stage but the last.
        stride_conv: The convolution of a bottleneck that carries its stride: the first ``1x1``
            (He15), or the ``3x3`` (torchvision, timm).
        shortcut_scale: λ on the shortcut (He16 Eq 7), for ``constant_scaling``.
        residual_scale: Factor on F, for ``constant_scaling``.
        gate_bias: b_g of He16 §3.1, for the two gated shortcuts.
        shortcut_dropout: Drop rate, for ``dropout``.
        bare_frame: For ``small`` nets, as in their programs: no batch norm in the stem (so that
            a pre-activation net's first unit opens with one) nor on a projection, which takes the
            unit's raw input; and no activation after the last batch norm.
        survival_prob: p_L of stochastic depth (SD16 §3); 1 keeps every unit.
        survival_decay: ``linear`` (p_l = 1 − l/L·(1 − p_L)) or ``uniform`` (p_l = p_L).
    """

    family: Literal["residual"] = "residual"
    layout: Literal["cifar", "fc", "imagenet", "reference", "small"] = "cifar"
    width: int = Field(16, ge=1, le=2048)
    widen: int = Field(1, ge=1, le=32)
    unit: UnitKind = "basic"
    shortcut: Shortcut = "A"
    shortcut_pad: Literal["end", "both"] = "end"
    stem: Literal["7x7", "3x3"] = "7x7"
    order: Order = "full_preact"
    stride_unit: Literal["first", "last"] = "first"
    stride_conv: Literal["1x1", "3x3"] = "1x1"
    shortcut_scale: float = Field(0.5, ge=0, le=2)
    residual_scale: float = Field(0.5, ge=0, le=2)
    gate_bias: float = Field(-6.0, ge=-20, le=20)
    shortcut_dropout: float = Field(0.5, ge=0, lt=1)
    bare_frame: bool = False
    survival_prob: float = Field(1.0, gt=0, le=1)
    survival_decay: Literal["linear", "uniform"] = "linear"
    activation: Activation = "relu"

    @field_validator("order", mode="before")
    @classmethod
    def _alias(cls, value: object) -> object:
        return ORDER_ALIASES.get(value, value) if isinstance(value, str) else value

    @classmethod
    def layout_defaults(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {**super().layout_defaults(values), **_unit_of_the_depth(values)}

    def depth_rule(self) -> tuple[int, int, int] | None:
        if self.layout in ("fc", "reference"):
            return None if self.layout == "fc" else _REFERENCE_RULE
        return _UNIT_RULES[self.unit]

    def depth_table(self) -> tuple[int, ...] | None:
        if self.layout == "small":
            return (6,)
        return tuple(IMAGENET_UNITS[self.unit]) if self.layout == "imagenet" else None

    def _other_depths(self) -> str:
        return _with_the_other_unit(self.unit) if self.layout == "imagenet" else ""

    @model_validator(mode="after")
    def _meaningful(self) -> ResidualSpec:
        shape = (self.unit, self.shortcut, self.order, self.stride_unit, self.stride_conv)
        if self.layout in ("fc", "reference") and shape != _IDENTITY_UNITS:
            what = "fully connected" if self.layout == "fc" else "reference"
            raise ValueError(
                f"a {what} residual net has identity shortcuts alone: leave unit, shortcut, "
                "order, stride_unit and stride_conv at their defaults"
            )
        if self.widen > 1 and self.layout != "cifar":
            raise ValueError(
                "widen is for residual nets of layout 'cifar': leave it at 1, or choose a width"
            )
        if self.stem == "3x3" and (self.layout != "imagenet" or _starts_activated(self.order)):
            raise ValueError(
                "stem is a choice of imagenet nets whose units end in their activation (v1); "
                "others have one of 3×3 as it is: leave it at '7x7'"
            )
        if self.shortcut_pad == "both" and self.layout in ("fc", "reference"):
            raise ValueError(
                "shortcut_pad says where the zeros of option A stand, and identity shortcuts alone "
                "have none: leave it at 'end'"
            )
        if self.layout == "small" and (self.unit, self.stride_unit) != ("basic", "first"):
            raise ValueError(
                "a small residual net has two-layer units without stride: leave unit and "
                "stride_unit at their defaults"
            )
        if self.init == "zero_last_scale" and (
            self.layout == "fc" or self.order == "relu_before_addition"
        ):
            raise ValueError(
                "init 'zero_last_scale' cannot learn where F ends in an activation, as here: "
                "choose 'he' or 'xavier'"
            )
        if self.bare_frame and self.layout != "small":
            raise ValueError(
                "bare_frame is for small residual nets: leave it at false, or choose layout 'small'"
            )
        unscaled = self.batch_norm and not self.norm_scale and self.layout != "fc"
        chosen = self.init in ("zero_last_scale", "branch_scaled")
        if unscaled and chosen and self.order in _F_ENDS_IN_NORM:
            raise ValueError(
                f"init {self.init!r} sets the scale of the batch norm that ends F, which it does "
                "not have with norm_scale false: choose 'he' or 'xavier', or set norm_scale to true"
            )
        if not self.batch_norm and self.order == "bn_after_addition":
            raise ValueError(
                "order 'bn_after_addition' without batch norm is the original order: "
                "choose 'original', or set batch_norm to true"
            )
        return self


def _starts_activated(order: Order) -> bool:
    return order in ("relu_only_preact", "full_preact")


_F_ENDS_IN_NORM: tuple[Order, ...] = ("original", "relu_before_addition", "relu_only_preact")
_IDENTITY_UNITS = ("basic", "A", "full_preact", "first", "1x1")
_REFERENCE_RULE = (REFERENCE_GROUPS, 0, REFERENCE_GROUPS)
_UNIT_RULES: dict[UnitKind, tuple[int, int, int]] = {"basic": (6, 2, 8), "bottleneck": (9, 2, 11)}


class HighwaySpec(NetBase):
    """Highway nets: y = H(x)·T(x) + x·(1 − T(x)), T = σ(W_T x + b_T) (SGS15 Eq 3).

    ``fitnet`` nets are those of SGS15 Table 2, which prints their depths and parameters: each of
    three stages opens with a plain 3×3 convolution, gated ones follow, a 2×2 max pool ends it. At
    19 layers the convolutions are those of the authors' program for CIFAR-10, without its dropout.
    The paper bases 11 and 19 layers on FitNets 1 and 4 (Romero et al. 2015), which end in an 8×8
    max pool and a fully connected layer; its 250 units, and 11 layers' 16, 32 and 64 maps, are our
    choice: they give the parameters printed. Of 32 layers the paper says that 3×3 and 1×1 fields
    alternate; 32, 64 and 96 maps and the program's other head (1×1 convolution to the classes,
    ReLU, global average, classifier) are our choice, which gives the parameters printed.

    Attributes:
        width: Filters of the first stage (or units of every fully connected layer); ``fitnet``
            nets' later stages keep their proportion to it.
        transform_bias: b_T at the start; negative lets units carry at first (SGS15 §2.2).
    """

    family: Literal["highway"] = "highway"
    layout: Literal["cifar", "fc", "fitnet", "reference"] = "cifar"
    width: int = Field(16, ge=1, le=2048)
    transform_bias: float = Field(-2.0, ge=-20, le=20)
    activation: Activation = "relu"

    _init = field_validator("init")(_for_residual_nets_only)

    @classmethod
    def layout_defaults(cls, values: dict[str, Any]) -> dict[str, Any]:
        defaults = super().layout_defaults(values)
        if values.get("layout") == "fitnet":
            stages = {str(depth): stages for depth, stages in FITNET_STAGES.items()}
            ((width, _), *_) = stages.get(str(values.get("depth")), FITNET_STAGES[19])
            defaults["width"] = width
        return defaults

    def depth_rule(self) -> tuple[int, int, int] | None:
        return {"fc": None, "reference": _REFERENCE_RULE}.get(self.layout, (3, 4, 7))

    def depth_table(self) -> tuple[int, ...] | None:
        return tuple(FITNET_STAGES) if self.layout == "fitnet" else None


class DenseSpec(NetBase):
    """DenseNets (Huang16): every unit sees the features of all before it in its stage.

    Attributes:
        growth_rate: k, new feature maps of each unit.
        bottleneck: BN–ReLU–1×1 (4k maps) before each 3×3 (DenseNet-B).
        compression: θ, share of the maps that a transition keeps (DenseNet-C where < 1).
    """

    family: Literal["dense"] = "dense"
    layout: Literal["cifar", "imagenet", "reference"] = "cifar"
    growth_rate: int = Field(12, ge=1, le=256)
    bottleneck: bool = False
    compression: float = Field(1.0, gt=0, le=1)

    _init = field_validator("init")(_for_residual_nets_only)

    @classmethod
    def layout_defaults(cls, values: dict[str, Any]) -> dict[str, Any]:
        defaults = super().layout_defaults(values)
        if values.get("layout") == "imagenet":
            defaults["growth_rate"] = 48 if str(values.get("depth")) == "161" else 32
        return defaults

    def depth_rule(self) -> tuple[int, int, int] | None:
        if self.layout == "reference":
            return _REFERENCE_RULE
        return (6, 4, 10) if self.bottleneck else (3, 4, 7)

    def depth_table(self) -> tuple[int, ...] | None:
        return tuple(IMAGENET_UNITS["dense"]) if self.layout == "imagenet" else None

    @model_validator(mode="after")
    def _meaningful(self) -> DenseSpec:
        if self.layout == "imagenet" and not self.bottleneck:
            raise ValueError(
                "the depths of ImageNet's dense nets count bottlenecks: set bottleneck to true, "
                "or choose layout 'cifar'"
            )
        if self.layout == "reference" and (self.bottleneck or self.compression != 1):
            raise ValueError(
                "a reference dense net has neither bottlenecks nor compression: leave them at "
                "their defaults, or choose layout 'cifar'"
            )
        if self.layout == "imagenet" and min(self.input_shape[1:]) < 29:
            raise ValueError(
                "ImageNet's dense nets halve images five times, so these must be at least 29×29, "
                f"not {self.input_shape[1]}×{self.input_shape[2]}: choose layout 'cifar', or "
                "larger images"
            )
        return self


def _family_of(value: Any) -> str | None:
    family = value.get("family") if isinstance(value, dict) else getattr(value, "family", None)
    return family if isinstance(family, str) else None


NetSpec = Annotated[
    Annotated[PlainSpec, Tag("plain")]
    | Annotated[ResidualSpec, Tag("residual")]
    | Annotated[HighwaySpec, Tag("highway")]
    | Annotated[DenseSpec, Tag("dense")],
    Discriminator(
        _family_of,
        custom_error_type="family",
        custom_error_message="family must be one of plain, residual, highway, dense",
    ),
]
NET_ADAPTER: TypeAdapter[NetSpec] = TypeAdapter(NetSpec)


# ------------------------------------------------------------------------------------- data


class DataInfo(Spec):
    """What must be known of a data set before it is loaded."""

    title: str
    input_shape: tuple[int, int, int]
    classes: tuple[str, ...]


_DIGITS = tuple("0123456789")
DATASETS: dict[str, DataInfo] = {
    "digits": DataInfo(title="Handwritten digits", input_shape=(1, 8, 8), classes=_DIGITS),
    "mnist": DataInfo(title="MNIST", input_shape=(1, 28, 28), classes=_DIGITS),
    "fashion_mnist": DataInfo(
        title="Fashion-MNIST",
        input_shape=(1, 28, 28),
        classes=(
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
    ),
    "cifar10": DataInfo(
        title="CIFAR-10",
        input_shape=(3, 32, 32),
        classes=(
            "airplane",
            "automobile",
            "bird",
            "cat",
            "deer",
            "dog",
            "frog",
            "horse",
            "ship",
            "truck",
        ),
    ),
    # CIFAR-100's hundred names come with its files; the count is all that a blueprint needs.
    "cifar100": DataInfo(
        title="CIFAR-100",
        input_shape=(3, 32, 32),
        classes=tuple(f"class {i}" for i in range(100)),
    ),
}


class DataSpec(Spec):
    """Which images, and how many.

    Attributes:
        name: An entry of ``DATASETS``, or ``folder``.
        path: For ``folder``: where the images lie, a folder with ``train/CLASS/*.png`` and
            ``test/CLASS/*.png``, or another kind of place (README, "Your own images").
        image_size: For ``folder``: side in pixels of every image, of which the largest central
            square is made so large.
        resize: For ``folder``, instead: images are made so large that their shorter side has so
            many pixels, and of that the central ``image_size``² are cut out, as is usual for
            ImageNet (256 and 224).
        train_limit: Use only so many training images, each class in its share; None uses all.
        test_limit: Likewise for the test images.
        balanced: Equally many images of each class, instead, wherever only some are taken; the test
            images are the most that there are equally many of.
        augment: Pad-4 crop and flip (pad 1 and no flip where flipping changes the class).
        cutout: Side in pixels of a square that is blanked at a random place of every training
            image (DeVries & Taylor 2017, arXiv 1708.04552); 0 blanks none.
        label_noise: Share of the training labels that are replaced by another class, drawn once:
            the same ones for every net. Test labels are left as they are.
    """

    name: Literal["digits", "folder", "mnist", "fashion_mnist", "cifar10", "cifar100"] = "digits"
    path: str | None = None
    image_size: int = Field(32, ge=8, le=512)
    resize: int | None = Field(None, ge=8, le=1024)
    train_limit: int | None = Field(None, ge=2)
    test_limit: int | None = Field(None, ge=1)
    balanced: bool = False
    augment: bool = False
    cutout: int = Field(0, ge=0, le=512)
    label_noise: float = Field(0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _folder_has_a_path(self) -> DataSpec:
        if self.name == "folder" and not self.path:
            raise ValueError(f"data 'folder' needs a path: of {OWN_IMAGES}")
        if self.name != "folder" and self.path is not None:
            raise ValueError(f"a path is for data 'folder' only, not for {self.name!r}")
        if self.resize is not None and (self.name != "folder" or self.resize < self.image_size):
            raise ValueError(
                f"resize is the shorter side of a folder's images before {self.image_size} pixels "
                f"of it are cut out, so at least {self.image_size}, not {self.resize} of "
                f"{self.name!r}"
            )
        return self


# ---------------------------------------------------------------------------------- training


class TrainSpec(Spec):
    """How a net is trained. Named recipes stand in ``RECIPES``, what they come from in ``SOURCES``.

    Attributes:
        steps: Updates in all; fewer where ``max_seconds`` or ``target_error`` ends the training.
        max_seconds: Seconds of training in all (evaluations count). The schedule then follows
            whichever is further on, steps or clock, so that the rate has come down at the end;
            such a run is not repeated bit for bit.
        target_error: A lane is done once its test error, a share, is no larger.
        schedule: ``constant``; ``one_cycle`` (linear up for 30 %, cosine down to 0);
            ``milestones`` (÷10 at each given share of the steps); ``exponential``
            (× ``decay_rate`` every epoch).
        warmup_steps: Steps at a tenth of the rate (He15 §4.2, for 110 layers).
        decay_on: What weight decay pulls towards 0: ``all`` parameters; the ``weights`` of
            convolutions and fully connected layers, so neither biases nor batch norms; or those
            of the ``convolutions`` alone.
        units_per_batch: Exactly so many units act in each batch, drawn anew, the same in all
            lanes; the others are passed by (Veit16 §4.3). None: all act. Evaluations use all n,
            at the scale of training where the net's survival_prob is k/n, uniform: then it is
            stochastic depth (SD16) whose number of units does not vary.
        eval_every: Steps between evaluations; None means once an epoch.
        keep_weights: Steps at which the weights are kept for good.
        precision: ``float32``, or ``bfloat16`` for autocast.
    """

    recipe: str = Field("one_cycle", max_length=40)
    steps: int = Field(330, ge=1, le=MAX_STEPS)
    max_seconds: float | None = Field(None, gt=0, le=1e8)
    target_error: float | None = Field(None, ge=0, lt=1)
    batch_size: int = Field(64, ge=1, le=65_536)
    optimizer: Literal["sgd", "nesterov", "adam", "adamw"] = "sgd"
    learning_rate: float = Field(0.1, ge=1e-8, le=100)
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(1e-4, ge=0, le=1)
    decay_on: Literal["all", "weights", "convolutions"] = "all"
    schedule: Literal["constant", "one_cycle", "milestones", "exponential"] = "one_cycle"
    milestones: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.5, 0.75)
    decay_rate: float = Field(0.95, gt=0, le=1)
    warmup_steps: int = Field(0, ge=0)
    gradient_clip: float | None = Field(None, gt=0)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    units_per_batch: int | None = Field(None, ge=1)
    eval_every: int | None = Field(None, ge=1)
    keep_weights: tuple[Annotated[int, Field(ge=0)], ...] = Field((), max_length=100)
    precision: Literal["float32", "bfloat16"] = "float32"

    def is_but_for_length(self, other: TrainSpec) -> bool:
        """Whether this is the other recipe, for as many steps or for others."""
        length = {"steps", "keep_weights"}  # what is kept on the way goes with how long that is
        return self.model_dump(exclude=length) == other.model_dump(exclude=length)


_HE15 = TrainSpec(
    recipe="he15", steps=64_000, batch_size=128, schedule="milestones", milestones=(0.5, 0.75)
)
RECIPES: dict[str, TrainSpec] = {
    "one_cycle": TrainSpec(recipe="one_cycle", gradient_clip=1.0),
    "he15": _HE15,
    "he15_110": _HE15.model_copy(update={"recipe": "he15_110", "warmup_steps": 400}),
    "he16": _HE15.model_copy(update={"recipe": "he16", "warmup_steps": 400}),
    "sgs15": TrainSpec(
        recipe="sgs15", steps=660, learning_rate=0.03, weight_decay=0.0, schedule="exponential"
    ),
    "huang16": TrainSpec(
        recipe="huang16",
        steps=234_375,
        batch_size=64,
        optimizer="nesterov",
        schedule="milestones",
        milestones=(0.5, 0.75),
    ),
    "stochastic_depth": TrainSpec(
        recipe="stochastic_depth",
        steps=175_500,
        batch_size=128,
        optimizer="nesterov",
        schedule="milestones",
        milestones=(0.5, 0.75),
    ),
    "adam_25": TrainSpec(
        recipe="adam_25",
        optimizer="adam",
        learning_rate=1e-3,
        weight_decay=0.0,
        schedule="constant",
    ),
    "imagenet_v2": _HE15.model_copy(
        update={"recipe": "imagenet_v2", "warmup_steps": 400, "decay_on": "convolutions"}
    ),
}
# What each recipe is taken from, and where it departs from that.
SOURCES: dict[str, str] = {
    "one_cycle": "For 8×8 digits in under a minute: rate up to 0.1 and down to 0; gradients "
    "clipped at 1, which shortens the first steps of deep plain nets most. Without, 50-layer "
    "highway nets of b_T = −3 diverged from 2 of 8 seeds; with −4 all 8 learnt either way.",
    "he15": "He15 §4.2: SGD, momentum 0.9, weight decay 1e-4, batch 128, rate 0.1, ÷10 at 32,000 "
    "and 48,000 of 64,000 iterations.",
    "he15_110": "He15 §4.2, for 110 layers: as he15, after a warm-up at 0.01 (there until the "
    "training error is below 80 %, about 400 iterations; here 400).",
    "he16": "He16, appendix: as he15, with 400 iterations at 0.01 first, whatever the depth.",
    "sgs15": "SGS15 §3.1: SGD with momentum, the rate falling exponentially. The numbers are ours, "
    "for the digits: the paper searched them at random, net by net.",
    "huang16": "Huang16 §4.2: 300 epochs of 50,000 images in batches of 64, Nesterov 0.9, weight "
    "decay 1e-4, rate 0.1, ÷10 at 50 % and 75 %.",
    "stochastic_depth": "SD16 §4 and its program: 500 epochs of 45,000 images in batches of 128, "
    "Nesterov 0.9, weight decay 1e-4, rate 0.1, ÷10 at 50 % and 75 %. Choose survival_prob=0.5 in "
    "the net.",
    "adam_25": "The 25-layer nets that set the families side by side: Adam, rate 0.001. Their "
    "programs do not fix the steps; these are ours.",
    "imagenet_v2": "The ResNet-v2 program fixes the weight decay alone: 1e-4, on the weights of "
    "convolutions only. The rest is he16's.",
}


class ExperimentSpec(Spec):
    """One to four nets that see the same batches from the same seed.

    Attributes:
        seeds: Train each lane from so many seeds, ``seed`` and those that follow, each with its
            own weights and batches; curves then have a band.
    """

    lanes: tuple[NetSpec, ...] = Field(min_length=1, max_length=MAX_LANES)
    data: DataSpec = DataSpec()
    training: TrainSpec = RECIPES["one_cycle"]
    seed: int = Field(SEED, ge=0, le=MAX_SEED)
    seeds: int = Field(1, ge=1, le=16)
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"

    @model_validator(mode="after")
    def _nets_fit_the_data(self) -> ExperimentSpec:
        info = DATASETS.get(self.data.name)
        shapes = {(lane.input_shape, lane.classes) for lane in self.lanes}
        wanted = {(info.input_shape, len(info.classes))} if info else shapes
        if len(shapes) > 1 or shapes != wanted:
            raise ValueError(
                f"the nets expect {sorted(shapes)} and the data gives {sorted(wanted)} "
                "(image shape, classes): build lanes with specs.fit(net, input_shape, classes)"
            )
        return self


class SweepSpec(Spec):
    """Families of nets, each trained at several depths, from several seeds, with one recipe.

    Attributes:
        nets: Names with N in the place of the depth: ``plain_N``, ``resnet_v2_N;width=8``.
        depths: As the papers count them, kept in order; where a net has none of this depth, the
            nearest within five layers is taken (:func:`explorer.runs.sweeps.plan.of_depth`).
        seeds: So many of each, ``seed`` and those that follow.
    """

    nets: tuple[Annotated[str, Field(min_length=1, max_length=200)], ...] = Field(
        min_length=1, max_length=MAX_LANES
    )
    depths: tuple[int, ...] = Field(min_length=1)
    seeds: int = Field(1, ge=1, le=16)
    data: DataSpec = DataSpec()
    training: TrainSpec = RECIPES["one_cycle"]
    seed: int = Field(SEED, ge=0, le=MAX_SEED)
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"

    @field_validator("nets")
    @classmethod
    def _named_by_depth(cls, nets: tuple[str, ...]) -> tuple[str, ...]:
        nets = tuple(net.strip() for net in nets)
        for net in nets:
            if "N" not in net.partition(";")[0]:
                raise ValueError(
                    f"the name {net!r} should have N in the place of the depth, such as plain_N "
                    "or resnet_v2_N"
                )
        if len(set(nets)) < len(nets):
            raise ValueError("a net is given twice: leave one out")
        return nets

    @field_validator("depths")
    @classmethod
    def _in_order(cls, depths: tuple[int, ...]) -> tuple[int, ...]:
        wrong = [depth for depth in depths if not 2 <= depth <= MAX_DEPTH]
        if wrong:
            raise ValueError(f"a net has from 2 to {MAX_DEPTH} layers, not {wrong[0]}")
        return tuple(sorted(set(depths)))

    @model_validator(mode="after")
    def _affordable(self) -> SweepSpec:
        runs = len(self.nets) * len(self.depths) * self.seeds
        if runs > MAX_SWEEP:
            raise ValueError(
                f"{len(self.nets)} nets at {len(self.depths)} depths from {self.seeds} seeds are "
                f"{runs} trainings, and a sweep has {MAX_SWEEP} at most: choose fewer depths or "
                "seeds, or make two sweeps of it"
            )
        if self.training.keep_weights:
            raise ValueError("a sweep keeps no weights: leave keep_weights out of the recipe")
        return self


# --------------------------------------------------------------------------------- functions

S = TypeVar("S", bound=Spec)


def fit(net: NetSpec, input_shape: tuple[int, int, int], classes: int) -> NetSpec:
    """The same net for images of another shape and another number of classes."""
    return parse_net({**net.model_dump(), "input_shape": input_shape, "classes": classes})


def sized_for(net: NetSpec, data: DataSpec) -> DataSpec:
    """The data for a trained net: a folder's images as large as its own, unless a size was said."""
    if data.name != "folder" or "image_size" in data.model_fields_set:
        return data
    return parse(DataSpec, {**data.model_dump(), "image_size": net.input_shape[-1]})


def fit_to_data(net: NetSpec, data: DataSpec) -> NetSpec:
    """The same net for one of ``DATASETS``; a folder's nets must be fitted by :func:`fit`."""
    info = DATASETS.get(data.name)
    return net if info is None else fit(net, info.input_shape, len(info.classes))


def parse_net(value: str | dict[str, Any]) -> NetSpec:
    """A net spec from JSON text or a dict.

    Raises:
        SpecError: One sentence: the field, what is wrong, what is allowed.
    """
    try:
        return NET_ADAPTER.validate_python(_from_json(value, "a net spec"))
    except ValidationError as error:
        raise SpecError(explain(error)) from None


def parse(kind: type[S], value: str | dict[str, Any]) -> S:
    """Any other spec from JSON text or a dict; raises :class:`SpecError`."""
    try:
        return kind.model_validate(_from_json(value, kind.__name__))
    except ValidationError as error:
        raise SpecError(explain(error, kind)) from None


def _from_json(value: str | dict[str, Any], what: str) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return plain_json(value)
    except ValueError as error:
        raise SpecError(f"This is not JSON, so it cannot be {what}: {error}.") from None


_MODELS: dict[str, type[Spec]] = {
    kind.__name__: kind for kind in (DataSpec, TrainSpec, ExperimentSpec, SweepSpec)
}
_FIELDS = {name: list(kind.model_fields) for name, kind in _MODELS.items()}
FAMILIES: dict[str, type[NetBase]] = {
    "plain": PlainSpec,
    "residual": ResidualSpec,
    "highway": HighwaySpec,
    "dense": DenseSpec,
}
_FIELDS_OF_NETS = '`skipscope show NAME --json` prints those of a net under "spec"'


def explain(error: ValidationError, model: type[Spec] | None = None) -> str:
    """The first problem of a Pydantic error as one sentence.

    Args:
        model: What was read; None tells by the error's title.
    """
    problem = error.errors()[0]
    families = ("plain", "residual", "highway", "dense")
    place = [str(part) for part in problem["loc"] if part not in families]
    name = ".".join(place)
    name = name if len(name) <= 60 else name[:57] + "…"
    context = problem.get("ctx") or {}
    kind, given = problem["type"], problem.get("input")
    if kind == "extra_forbidden":
        having = [family for family, spec in FAMILIES.items() if name in spec.model_fields]
        own = str(problem["loc"][0]) if problem["loc"] else ""
        if having and own in FAMILIES:
            return (
                f"A {own} net has no {name!r}: it is for {', '.join(having)} nets; choose one of "
                "these, or leave it out."
            )
        fields = _FIELDS.get(error.title) or (list(model.model_fields) if model else None)
        known = f"there are {', '.join(fields)}" if fields else _FIELDS_OF_NETS
        return f"There is no field {name!r} here; remove it: {known}."
    if kind == "missing":
        return f"The field {name!r} is missing; give it a value."
    if kind == "value_error":
        text = str(context.get("error", problem["msg"]))
        return _sentence(f"{name}: {text}" if name else text)
    if kind == "family":
        family = given.get("family") if isinstance(given, dict) else given
        return _sentence(f"{problem['msg']}, not {str(family)[:40]!r}")
    shown = repr(given)
    shown = shown if len(shown) <= 60 else shown[:57] + "…"
    allowed = (
        _range_of(model or _MODELS.get(error.title), problem["loc"]) if kind in _BOUNDS else None
    )
    if allowed is not None:
        return f"{name} must be {allowed}, not {shown}."
    message = problem["msg"]
    message = message[0].lower() + message[1:]
    return _sentence(f"{name or 'The value'}: {message}, not {shown}")


_BOUNDS = ("greater_than", "greater_than_equal", "less_than", "less_than_equal")


def _range_of(outer: type[Spec] | None, place: tuple[int | str, ...]) -> str | None:
    """The whole range of a number, where one end of it was passed: "from 1 to 16"."""
    inner: dict[str, type[Spec]] = {"data": DataSpec, "training": TrainSpec, **FAMILIES}
    models = [inner[str(part)] for part in place[:-1] if part in inner]
    model = models[-1] if models else outer
    if model is None or place[-1] not in model.model_fields:
        return None
    field = model.model_fields[str(place[-1])]
    inside = [m for part in get_args(field.annotation) for m in getattr(part, "__metadata__", ())]
    least: str | None = None
    most: str | None = None
    for bound in (*field.metadata, *inside):
        for rule in getattr(bound, "metadata", [bound]):
            if isinstance(rule, Ge):
                least = f"at least {rule.ge}"
            elif isinstance(rule, Gt):
                least = f"above {rule.gt}"
            elif isinstance(rule, Le):
                most = f"at most {rule.le}"
            elif isinstance(rule, Lt):
                most = f"below {rule.lt}"
    return " and ".join(words for words in (least, most) if words) or None


def _sentence(text: str) -> str:
    text = text[0].upper() + text[1:] if not text.split(":")[0].isidentifier() else text
    return text if text.endswith((".", "!", "?")) else text + "."
