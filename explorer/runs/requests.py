"""What can be asked of an instrument worker: which net, which images, which measurement.

The page builds these as plain values; a wrong one is one sentence (:func:`parse_request`).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from explorer.errors import RunError
from explorer.results import Baseline, Channels, Method, Part, ScalarFamily, SurfaceNorm
from explorer.results.lesion_studies import Moves
from explorer.specs import MAX_DEPTH, DataSpec, NetSpec, Spec, parse

JobKind = Literal[
    "lesions",
    "lesion_band",
    "shuffle_lesions",
    "swap_lesions",
    "stage_lesions",
    "gate_lesions",
    "evaluate",
    "gradients",
    "gates",
    "predict",
    "prepare_data",
    "prepare_weights",
    "timing",
    "code",
    "blueprint",
    "attribution",
    "conductance",
    "activations",
    "answers",
    "reuse",
    "propagation",
    "sensitivity",
    "surface",
    "shattering",
    "gradient_terms",
    "gradients_at_init",
    "vanishing",
    "shortcut_scaling",
    "responses",
    "branches",
    "classifier_by_unit",
    "estimation_error",
    "gate_maps",
    "gate_distribution",
    "gate_image",
    "paths",
    "path_counts",
    "unravelled",
]
Priority = Literal["click", "sweep"]


class ShippedSource(Spec):
    """A net that comes with the program, trained."""

    source: Literal["shipped"] = "shipped"
    name: str


class RunSource(Spec):
    """Weights of one lane of an experiment: the latest, or those kept at a step."""

    source: Literal["run"] = "run"
    experiment: str
    lane: int = Field(0, ge=0)
    step: int | None = Field(None, ge=0)


class FreshSource(Spec):
    """An untrained net, as a training with this seed would start from it."""

    source: Literal["fresh"] = "fresh"
    spec: NetSpec
    seed: int = Field(7, ge=0, le=2**31 - 1)


class FileSource(Spec):
    """Weights in a safetensors file (or an upload's name), for a net that is told."""

    source: Literal["file"] = "file"
    spec: NetSpec
    path: str


class ExternalSource(Spec):
    """Another library's net, on colour images that the request names.

    Attributes:
        name: ``torchvision_resnet50``, ``timm_resnetv2_50``.
        weights: None for fresh ones; ``default`` for the library's, trained on ImageNet and
            downloaded once; else a file of the net's own ``state_dict`` (.safetensors, .pt, .pth),
            or the name of an upload (:mod:`explorer.runs.uploads`).
        seed: Of fresh weights.
    """

    source: Literal["external"] = "external"
    name: str
    weights: str | None = None
    seed: int = Field(7, ge=0, le=2**31 - 1)


Source = Annotated[
    ShippedSource | RunSource | FreshSource | FileSource | ExternalSource,
    Field(discriminator="source"),
]


class OneNet(Spec):
    """One net on a data set; ``data`` None means what the net was trained on, else the digits.

    Attributes:
        n_images: Measure on so many images, class-balanced; None takes the instrument's own.
    """

    net: Source
    data: DataSpec | None = None
    n_images: int | None = Field(None, ge=1)

    @property
    def sources(self) -> tuple[Source, ...]:
        return (self.net,)


class Lesioning(OneNet):
    """What all lesions have in common.

    Attributes:
        recalibrate: Measure batch norm's statistics anew for each lesion, on so many training
            images; 0 leaves them as trained.
        train: Accuracy on training images, not on test images.
    """

    recalibrate: int = Field(0, ge=0, le=10_000)
    train: bool = False


class LesionsRequest(Lesioning):
    """Accuracy after deleting each unit, streamed; the result is a LesionCurve."""


class LesionBandRequest(Lesioning):
    """Accuracy after deleting 1 … k units at random, streamed: a LesionBand.

    Attributes:
        k: Most units deleted; None takes 20, or all where there are fewer.
        seed: Of the draws.
    """

    k: int | None = Field(None, ge=1)
    trials: int = Field(10, ge=1, le=100)
    seed: int = Field(0, ge=0, le=2**31 - 1)


class ShuffleLesionsRequest(Lesioning):
    """Accuracy with units of one shape reordered more and more, streamed: a ShuffleLesions."""

    points: int = Field(12, ge=1, le=100)
    trials: int = Field(8, ge=1, le=100)
    moves: Moves = "pairs"
    seed: int = Field(0, ge=0, le=2**31 - 1)


class SwapLesionsRequest(Lesioning):
    """Accuracy with every two units of one shape swapped, streamed: a SwapLesions.

    Attributes:
        stage: From 0; None takes all.
    """

    stage: int | None = Field(None, ge=0)


class StageLesionsRequest(Lesioning):
    """Accuracy without whole stages, streamed: a StageLesions."""


class GateLesionsRequest(Lesioning):
    """Accuracy with gates held, streamed: a GateLesions."""

    values: tuple[Annotated[float, Field(ge=0, le=1)] | Literal["mean"], ...] = Field(
        (0.0, 1.0, "mean"), min_length=1, max_length=8
    )


class EvaluateRequest(OneNet):
    """Accuracy with these units in this order, or with some deleted: a ProgramResult.

    The result also holds ``deleted`` and the intact net's ``baseline_accuracy`` on the same images.
    """

    program: tuple[str, ...] | None = None
    deleted: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_of_both(self) -> EvaluateRequest:
        if self.program is not None and self.deleted:
            raise ValueError("give either a program or deleted units, not both")
        return self


class GradientsRequest(OneNet):
    """Gradient magnitude by layer: LayerGradients."""


class GatesRequest(OneNet):
    """Gates by unit: GateMeans."""


class GradientTermsRequest(OneNet):
    """He16 Eq 5's direct and residual term at every unit: GradientTerms."""


class FreshNetsRequest(Spec):
    """Nets that the job makes itself, on these images."""

    data: DataSpec = DataSpec()
    n_images: int | None = Field(None, ge=1)

    @property
    def sources(self) -> tuple[Source, ...]:
        return ()


class GradientsAtInitRequest(FreshNetsRequest):
    """Gradients of fresh nets against depth, streamed: GradientsAtInit.

    Attributes:
        nets: Names or tokens; their depths are replaced.
    """

    nets: tuple[str, ...] = Field(min_length=1, max_length=8)
    depths: tuple[Annotated[int, Field(ge=2, le=MAX_DEPTH)], ...] = Field(
        (8, 20, 32, 44, 56), min_length=1, max_length=12
    )
    batch_norm: tuple[bool, ...] = Field((True, False), min_length=1, max_length=2)
    seeds: tuple[Annotated[int, Field(ge=0, le=2**31 - 1)], ...] = Field(
        (0, 1, 2), min_length=1, max_length=10
    )


class VanishingRequest(FreshNetsRequest):
    """One cause of vanishing at a time, against depth, streamed: VanishingCauses.

    Attributes:
        width: None takes the layers' own.
    """

    layers: Literal["conv", "fc"] = "conv"
    depths: tuple[Annotated[int, Field(ge=2, le=MAX_DEPTH)], ...] = Field(
        (8, 20, 32, 56), min_length=1, max_length=12
    )
    seeds: tuple[Annotated[int, Field(ge=0, le=2**31 - 1)], ...] = Field(
        (0, 1, 2), min_length=1, max_length=10
    )
    gain: float = Field(0.8, ge=0.01, le=10)
    width: int | None = Field(None, ge=1, le=2048)
    order: Literal["original", "full_preact"] = "full_preact"


class ShortcutScalingRequest(FreshNetsRequest):
    """He16 Eq 8 in fresh nets whose shortcuts are λ·x, streamed: ShortcutScaling.

    Attributes:
        spec: A residual net.
        scales: The λ; the first is measured first.
    """

    spec: NetSpec
    scales: tuple[Annotated[float, Field(ge=0, le=2)], ...] = Field(
        (0.0, 0.5, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2), min_length=1, max_length=50
    )
    seed: int = Field(7, ge=0, le=2**31 - 1)


class ResponsesRequest(OneNet):
    """Standard deviation of each layer's response: LayerResponses."""


class BranchesRequest(OneNet):
    """Size and direction of each unit's F, and what the last ReLU cuts: BranchResponses."""


class ClassifierByUnitRequest(OneNet):
    """The classifier after every unit of the last stage: ClassifierByUnit."""


class EstimationErrorRequest(OneNet):
    """Units' outputs against the end of their stage: EstimationError."""


class PredictRequest(Spec):
    """Class probabilities of one image, a test image by its index or a picture file.

    The result holds ``predictions`` (the JSON of a Prediction for each net), ``classes`` (their
    names), ``true_class`` (of a test image, else null), ``n_test`` (images in the test set) and
    ``image`` (the picture as the nets see it, PNG, base64).

    Attributes:
        deleted: For every net the units to leave out; may be left away.
    """

    nets: tuple[Source, ...] = Field(min_length=1, max_length=8)
    data: DataSpec | None = None
    index: int | None = Field(None, ge=0)
    image_path: str | None = None
    deleted: tuple[tuple[str, ...], ...] = ()

    @property
    def sources(self) -> tuple[Source, ...]:
        return self.nets

    @model_validator(mode="after")
    def _one_image(self) -> PredictRequest:
        if (self.index is None) == (self.image_path is None):
            raise ValueError("give either the index of a test image or an image_path")
        if self.deleted and len(self.deleted) != len(self.nets):
            raise ValueError("give the deleted units of every net, or of none")
        return self


class OneImage(Spec):
    """One net and one image, a test image by its index or a picture file.

    Attributes:
        image_path: Or the name of an image that the service keeps
            (:mod:`explorer.runs.pictures`).
        deleted: Units to leave out.
    """

    net: Source
    data: DataSpec | None = None
    index: int | None = Field(None, ge=0)
    image_path: str | None = None
    deleted: tuple[str, ...] = ()

    @property
    def sources(self) -> tuple[Source, ...]:
        return (self.net,)

    @model_validator(mode="after")
    def _one_image(self) -> OneImage:
        if (self.index is None) == (self.image_path is None):
            raise ValueError("give either the index of a test image or an image_path")
        return self


class AttributionRequest(OneImage):
    """Which pixels carried a decision, refined while watched: an Attribution.

    Attributes:
        unit: Of Grad-CAM; None is the last that has maps.
        target: ``predicted``, ``true``, or a class by name or position.
    """

    method: Method = "integrated_gradients"
    unit: str | None = None
    target: str | int = "predicted"
    baseline: Baseline = "black"
    steps: int | None = Field(None, ge=1, le=4096)
    window: int | None = Field(None, ge=1)

    @property
    def priority(self) -> Priority:
        """One pass is a click; hundreds let clicks come first."""
        return "click" if self.method in ("saliency", "grad_cam") else "sweep"


class ConductanceRequest(OneImage):
    """Which units carried a decision, refined while watched: a UnitConductance."""

    target: str | int = "predicted"
    baseline: Baseline = "black"
    steps: int | None = Field(None, ge=1, le=4096)


class AnswersRequest(OneNet):
    """Which answers change with these units in this order, streamed: a ProgramAnswers.

    Attributes:
        program: Units to apply; the others are deleted. None is the intact net.
    """

    program: tuple[str, ...] | None = None


class ActivationsRequest(OneImage):
    """What units' maps look like for one image: ActivationMaps.

    Attributes:
        units: None takes the last of each stage.
        k: Channels of each unit.
    """

    units: tuple[str, ...] | None = Field(None, min_length=1, max_length=64)
    part: Part = "output"
    channels: Channels = "strongest"
    k: int = Field(16, ge=1, le=256)


class GatesOfImage(OneImage):
    """Gates for one image; nothing is left out."""

    @model_validator(mode="after")
    def _intact(self) -> GatesOfImage:
        if self.deleted:
            raise ValueError("gates are measured in the intact net: leave deleted out")
        return self


class GateMapsRequest(GatesOfImage):
    """Layer × unit tables of gates, means over many images and values for one: GateMaps.

    Attributes:
        n_images: Means over so many images, class-balanced; None takes all.
        train: Over training images, not test images.
        of_class: A class by name or position, whose mean is told less the mean; None tells none.
    """

    n_images: int | None = Field(None, ge=1)
    train: bool = False
    of_class: str | int | None = None


class GateDistributionRequest(OneNet):
    """How the values of each unit's gate are spread: GateDistribution."""


class GateImageRequest(GatesOfImage):
    """Where on one image the gates are open: GateImage.

    Attributes:
        channel: None takes the mean over all channels.
    """

    channel: int | None = Field(None, ge=0)


class PathsRequest(OneNet):
    """Gradient by path length, streamed, the exact curve first: a PathGradients.

    The result also holds ``path_lengths``, the JSON of the net's PathLengths.

    Attributes:
        draws: Random signs and paths for every image and length; 0 for the exact curve alone.
        longest: Lengths 0 to this one; None takes all.
        seed: Of the draws.
    """

    draws: int = Field(1, ge=0, le=100)
    longest: int | None = Field(None, ge=1)
    seed: int = Field(0, ge=0, le=2**31 - 1)


class PathCountsRequest(OneNet):
    """How many paths there are of each length: PathLengths, and ``multiplicity`` (may be null)."""


class UnravelledRequest(OneNet):
    """Paths of a few units switched off, streamed: an UnravelledView.

    Attributes:
        units: One to four, by name; None takes all, if they are so few.
        off: Paths by their digits.
    """

    units: tuple[str, ...] | None = None
    off: tuple[str, ...] = ()


class PrepareDataRequest(Spec):
    """Load, download or decode a data set, with progress: its title, classes and sizes."""

    data: DataSpec

    @property
    def sources(self) -> tuple[Source, ...]:
        return ()


class PrepareWeightsRequest(Spec):
    """Download the weights that another library has for a net; ``name`` as in its token."""

    name: str

    @property
    def sources(self) -> tuple[Source, ...]:
        return ()


class TimingRequest(Spec):
    """Seconds of forward passes of a fresh net, streamed: a ForwardTiming.

    Attributes:
        spec: A net of ours; or else ``external``, another library's by name.
        fast: Norms folded, channels_last, bfloat16 where it pays; else the net as it stands.
    """

    spec: NetSpec | None = None
    external: str | None = None
    images: int = Field(32, ge=1, le=1024)
    steps: int = Field(100, ge=1, le=10_000)
    burn_in: int = Field(10, ge=0, le=1000)
    fast: bool = False

    @property
    def sources(self) -> tuple[Source, ...]:
        return ()

    @model_validator(mode="after")
    def _one_net(self) -> TimingRequest:
        if (self.spec is None) == (self.external is None):
            raise ValueError("give either the spec of a net or the name of an external one")
        return self


class CodeRequest(Spec):
    """One self-contained PyTorch file that builds the net: ``code``.

    Attributes:
        weights: File name of the weights that the file loads from beside it.
    """

    spec: NetSpec
    weights: str = Field("weights.safetensors", pattern=r"^[\w.-]+$", max_length=200)

    @property
    def sources(self) -> tuple[Source, ...]:
        return ()


class BlueprintRequest(Spec):
    """What another library's net amounts to, or whether a file of weights is a net's.

    The result holds ``blueprint`` (see :func:`explorer.blueprint.to_json`), and for weights in a
    file ``tensors`` and ``values``, how many it has, else null. A file that is not the net's is
    an error in one sentence. The library's own weights are not downloaded for this. A net of ours
    is taken at the image shape and classes of the file.

    Attributes:
        net: An :class:`ExternalSource` or a :class:`FileSource`.
    """

    net: Annotated[ExternalSource | FileSource, Field(discriminator="source")]

    @property
    def sources(self) -> tuple[Source, ...]:
        return (self.net,)


class ReuseRequest(OneNet):
    """How strongly a dense net's layers use earlier ones: FeatureReuse. No images are seen.

    Attributes:
        scaled: Count each weight times the scale of the batch norm before it.
    """

    scaled: bool = False


class PropagationRequest(OneNet):
    """Signal and gradient by unit, streamed net by net: Propagation.

    Attributes:
        seeds: Fresh nets of the same spec; None measures the net with its own weights.
    """

    seeds: int | None = Field(5, ge=1, le=100)


class SensitivityRequest(OneNet):
    """How much larger units' outputs are than their F: Sensitivity."""

    nudge: float = Field(0.02, gt=0, le=1)


class SurfaceRequest(OneNet):
    """The loss around the weights, streamed from coarse to fine: LossSurface.

    What a worker has measured, also for a request that was cancelled, it does not measure again.
    """

    resolution: int = Field(17, ge=3, le=101)
    span: float = Field(1.0, gt=0, le=100)
    line: bool = False
    direction: int = Field(0, ge=0, le=2**31 - 1)
    norm: SurfaceNorm = "running"


class ShatteringRequest(Spec):
    """dy/dx of scalar nets at initialisation, streamed: ``families``, ShatteredGradients each."""

    families: tuple[ScalarFamily, ...] = Field(("plain", "residual", "highway"), min_length=1)
    depths: tuple[int, ...] = Field((2, 4, 10, 24, 50), min_length=1, max_length=16)
    batch_norm: bool = True
    width: int = Field(200, ge=1, le=1024)
    seeds: int = Field(10, ge=1, le=50)
    beta: float = Field(1.0, ge=0, le=1)
    transform_bias: float = Field(-2.0, ge=-20, le=20)

    @property
    def sources(self) -> tuple[Source, ...]:
        return ()


Request = (
    LesionsRequest
    | LesionBandRequest
    | ShuffleLesionsRequest
    | SwapLesionsRequest
    | StageLesionsRequest
    | GateLesionsRequest
    | EvaluateRequest
    | GradientsRequest
    | GatesRequest
    | PredictRequest
    | PrepareDataRequest
    | PrepareWeightsRequest
    | TimingRequest
    | CodeRequest
    | BlueprintRequest
    | AttributionRequest
    | ConductanceRequest
    | ActivationsRequest
    | AnswersRequest
    | ReuseRequest
    | PropagationRequest
    | SensitivityRequest
    | SurfaceRequest
    | ShatteringRequest
    | GradientTermsRequest
    | GradientsAtInitRequest
    | VanishingRequest
    | ShortcutScalingRequest
    | ResponsesRequest
    | BranchesRequest
    | ClassifierByUnitRequest
    | EstimationErrorRequest
    | GateMapsRequest
    | GateDistributionRequest
    | GateImageRequest
    | PathsRequest
    | PathCountsRequest
    | UnravelledRequest
)
REQUESTS: dict[JobKind, type[Request]] = {
    "lesions": LesionsRequest,
    "lesion_band": LesionBandRequest,
    "shuffle_lesions": ShuffleLesionsRequest,
    "swap_lesions": SwapLesionsRequest,
    "stage_lesions": StageLesionsRequest,
    "gate_lesions": GateLesionsRequest,
    "evaluate": EvaluateRequest,
    "gradients": GradientsRequest,
    "gates": GatesRequest,
    "predict": PredictRequest,
    "prepare_data": PrepareDataRequest,
    "prepare_weights": PrepareWeightsRequest,
    "timing": TimingRequest,
    "code": CodeRequest,
    "blueprint": BlueprintRequest,
    "attribution": AttributionRequest,
    "conductance": ConductanceRequest,
    "activations": ActivationsRequest,
    "answers": AnswersRequest,
    "reuse": ReuseRequest,
    "propagation": PropagationRequest,
    "sensitivity": SensitivityRequest,
    "surface": SurfaceRequest,
    "shattering": ShatteringRequest,
    "gradient_terms": GradientTermsRequest,
    "gradients_at_init": GradientsAtInitRequest,
    "vanishing": VanishingRequest,
    "shortcut_scaling": ShortcutScalingRequest,
    "responses": ResponsesRequest,
    "branches": BranchesRequest,
    "classifier_by_unit": ClassifierByUnitRequest,
    "estimation_error": EstimationErrorRequest,
    "gate_maps": GateMapsRequest,
    "gate_distribution": GateDistributionRequest,
    "gate_image": GateImageRequest,
    "paths": PathsRequest,
    "path_counts": PathCountsRequest,
    "unravelled": UnravelledRequest,
}
# What a person waits for is answered before, and in the middle of, what merely takes its time.
PRIORITIES: dict[JobKind, Priority] = {
    "lesions": "sweep",
    "lesion_band": "sweep",
    "shuffle_lesions": "sweep",
    "swap_lesions": "sweep",
    "stage_lesions": "click",
    "gate_lesions": "sweep",
    "evaluate": "click",
    "gradients": "click",
    "gates": "click",
    "predict": "click",
    "prepare_data": "sweep",
    "prepare_weights": "sweep",
    "timing": "sweep",
    "code": "click",
    "blueprint": "click",
    "attribution": "click",
    "conductance": "sweep",
    "activations": "click",
    "answers": "click",
    "reuse": "click",
    "propagation": "sweep",
    "sensitivity": "click",
    "surface": "sweep",
    "shattering": "sweep",
    "gradient_terms": "click",
    "gradients_at_init": "sweep",
    "vanishing": "sweep",
    "shortcut_scaling": "sweep",
    "responses": "click",
    "branches": "click",
    "classifier_by_unit": "click",
    "estimation_error": "click",
    "gate_maps": "click",
    "gate_distribution": "click",
    "gate_image": "click",
    "paths": "sweep",
    "path_counts": "click",
    "unravelled": "sweep",
}


def parse_request(kind: str, payload: object) -> Request:
    """A validated request from plain values.

    Raises:
        SkipscopeError: One sentence: an unknown kind, or what is wrong with the payload.
    """
    for name, model in REQUESTS.items():
        if name == kind:
            if isinstance(payload, model):
                return payload
            if not isinstance(payload, dict):
                raise RunError(f"The payload of a {kind!r} job is an object, not {payload!r}.")
            request: Request = parse(model, payload)
            return request
    raise RunError(f"There is no job {kind!r}; there are {', '.join(REQUESTS)}.")
