"""What can be asked of an instrument worker: which net, which images, which measurement.

The page builds these as plain values; a wrong one is one sentence (:func:`parse_request`).
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, create_model, field_validator, model_validator

from explorer.errors import RunError, SkipscopeError
from explorer.instruments import Instrument, instrument, instruments, is_instrument
from explorer.instruments.contract import Ask
from explorer.structure.specs import MAX_SEED, SEED, DataSpec, NetSpec, Spec, parse

# What a person waits for is answered before, and in the middle of, what merely takes its time.
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
    seed: int = Field(SEED, ge=0, le=MAX_SEED)


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
            or the name of an upload (:mod:`explorer.runs.serve.uploads`).
        seed: Of fresh weights.
    """

    source: Literal["external"] = "external"
    name: str
    weights: str | None = None
    seed: int = Field(SEED, ge=0, le=MAX_SEED)


Source = Annotated[
    ShippedSource | RunSource | FreshSource | FileSource | ExternalSource,
    Field(discriminator="source"),
]


class WeightsAlone(Spec):
    """One net of which only the weights are read."""

    sees_images: ClassVar[bool] = False
    net: Source

    @property
    def sources(self) -> tuple[Source, ...]:
        return (self.net,)


class Nothing(Spec):
    """Neither a net nor images."""

    sees_images: ClassVar[bool] = False

    @property
    def sources(self) -> tuple[Source, ...]:
        return ()


class OneNet(Spec):
    """One net on a data set; ``data`` None means what the net was trained on, else the digits.

    Attributes:
        n_images: Measure on so many images, each class in its share; None: the instrument's own.
    """

    net: Source
    data: DataSpec | None = None
    n_images: int | None = Field(None, ge=1)

    @property
    def sources(self) -> tuple[Source, ...]:
        return (self.net,)


class EvaluateRequest(OneNet):
    """Accuracy with these units in this order, or with some deleted: a ProgramResult.

    The result also holds ``deleted`` and the intact net's ``baseline_accuracy`` on the same images.
    """

    priority: ClassVar[Priority] = "click"
    program: tuple[str, ...] | None = None
    deleted: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_of_both(self) -> EvaluateRequest:
        if self.program is not None and self.deleted:
            raise ValueError("give either a program or deleted units, not both")
        return self


class FreshNetsRequest(Spec):
    """Nets that the job makes itself, on these images."""

    data: DataSpec = DataSpec()
    n_images: int | None = Field(None, ge=1)

    @property
    def sources(self) -> tuple[Source, ...]:
        return ()


def _one_of_them(index: int | None, image_path: str | None) -> None:
    if (index is None) == (image_path is None):
        raise ValueError("give either the index of a test image or an image_path")


class PredictRequest(Spec):
    """Class probabilities of one image, a test image by its index or a picture file.

    The result holds ``predictions`` (the JSON of a Prediction for each net), ``classes`` (their
    names), ``true_class`` (of a test image, else null), ``n_test`` (images in the test set) and
    ``image`` (the picture as the nets see it, PNG, base64).

    Attributes:
        deleted: For every net the units to leave out; may be left away.
    """

    priority: ClassVar[Priority] = "click"
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
        _one_of_them(self.index, self.image_path)
        if self.deleted and len(self.deleted) != len(self.nets):
            raise ValueError("give the deleted units of every net, or of none")
        return self


class OneImage(Spec):
    """One net and one image, a test image by its index or a picture file.

    Attributes:
        image_path: Or the name of an image that the service keeps
            (:mod:`explorer.runs.serve.pictures`).
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
        _one_of_them(self.index, self.image_path)
        return self


class IntactImage(OneImage):
    """The same for what is measured in the intact net."""

    @model_validator(mode="after")
    def _intact(self) -> IntactImage:
        if self.deleted:
            raise ValueError("this is measured in the intact net: leave deleted out")
        return self


class PrepareDataRequest(Spec):
    """Load, download or decode a data set, with progress: its title, classes and sizes."""

    priority: ClassVar[Priority] = "sweep"
    data: DataSpec

    @property
    def sources(self) -> tuple[Source, ...]:
        return ()


class PrepareWeightsRequest(Spec):
    """Download the weights that another library has for a net; ``name`` as in its token."""

    priority: ClassVar[Priority] = "sweep"
    sees_images: ClassVar[bool] = False
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

    priority: ClassVar[Priority] = "sweep"
    sees_images: ClassVar[bool] = False
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


class ReproduceRequest(Spec):
    """A figure of the papers measured again, one net of each kind: a Measurement.

    Attributes:
        figure: Its key; one that takes seconds.
    """

    priority: ClassVar[Priority] = "sweep"
    sees_images: ClassVar[bool] = False
    figure: str = Field(max_length=80)

    @property
    def sources(self) -> tuple[Source, ...]:
        return ()

    @field_validator("figure")
    @classmethod
    def _takes_seconds(cls, key: str) -> str:
        from explorer.reproduce import figure  # all figures, which few requests need

        try:
            brief = figure(key).brief
        except SkipscopeError as error:
            raise ValueError(str(error)) from None
        if not brief:
            raise ValueError(
                f"{key!r} takes longer than a click may: `skipscope reproduce {key} --measure` "
                "measures it"
            )
        return key


class CodeRequest(Spec):
    """One self-contained PyTorch file that builds the net: ``code``.

    Attributes:
        weights: File name of the weights that the file loads from beside it.
    """

    priority: ClassVar[Priority] = "click"
    sees_images: ClassVar[bool] = False
    spec: NetSpec
    weights: str = Field("weights.safetensors", pattern=r"^[\w.-]+$", max_length=200)

    @property
    def sources(self) -> tuple[Source, ...]:
        return ()


class BlueprintRequest(Spec):
    """What another library's net amounts to, or whether a file of weights is a net's.

    The result holds ``blueprint`` (see :func:`explorer.structure.blueprint.to_json`), and for
    weights in a file ``tensors`` and ``values``, how many it has, else null. A file that is not the
    net's is an error in one sentence. The library's own weights are not downloaded for this. A net
    of ours is taken at the image shape and classes of the file.

    Attributes:
        net: An :class:`ExternalSource` or a :class:`FileSource`.
    """

    priority: ClassVar[Priority] = "click"
    sees_images: ClassVar[bool] = False
    net: Annotated[ExternalSource | FileSource, Field(discriminator="source")]

    @property
    def sources(self) -> tuple[Source, ...]:
        return (self.net,)


class FitsRequest(Spec):
    """Which nets of ours a file of weights may be of, by its shapes, and where ``data`` is given,
    by trying them on its images.

    The result holds ``nets`` (tokens), ``taken`` (the one that it is, or null) and ``said``
    (sentences: how that was told, and what of the file was left out).

    Attributes:
        path: A file, or the name of an upload.
    """

    priority: ClassVar[Priority] = "click"
    path: str
    data: DataSpec | None = None

    @property
    def sees_images(self) -> bool:
        return self.data is not None

    @property
    def sources(self) -> tuple[Source, ...]:
        return ()


Request = (
    EvaluateRequest
    | PredictRequest
    | PrepareDataRequest
    | PrepareWeightsRequest
    | TimingRequest
    | ReproduceRequest
    | CodeRequest
    | BlueprintRequest
    | FitsRequest
)
REQUESTS: dict[str, type[Request]] = {
    "evaluate": EvaluateRequest,
    "predict": PredictRequest,
    "prepare_data": PrepareDataRequest,
    "prepare_weights": PrepareWeightsRequest,
    "timing": TimingRequest,
    "reproduce": ReproduceRequest,
    "code": CodeRequest,
    "blueprint": BlueprintRequest,
    "fits": FitsRequest,
}
_SUBJECTS: dict[str, type[Spec]] = {
    "net": OneNet,
    "weights": WeightsAlone,
    "image": OneImage,
    "data": FreshNetsRequest,
    "none": Nothing,
}


@cache
def _declared(one: Instrument) -> type[Any]:
    """The request of an instrument: its options, and what it is measured on."""
    subject = _SUBJECTS[one.ask.subject] if one.ask.deletes else IntactImage
    return create_model(
        f"{one.name} request",
        __base__=(one.ask, subject),
        __doc__=one.ask.__doc__,
    )


def kinds() -> list[str]:
    """Every kind of job."""
    return [*REQUESTS, *(k for k, one in instruments().items() if one.ask.subject in _SUBJECTS)]


def kind_of(name: str) -> str:
    """Today's name of a kind of job."""
    return instrument(name).name if name not in REQUESTS and is_instrument(name) else name


def priority_of(kind: str, request: Request | Ask) -> Priority:
    """How a job comes to its turn, where nobody says otherwise."""
    if isinstance(request, Ask):
        return request.waits()
    return request.priority


def parse_request(kind: str, payload: object) -> Any:
    """A validated request from plain values.

    Raises:
        SkipscopeError: One sentence: an unknown kind, or what is wrong with the payload.
    """
    model: type[Any] | None = REQUESTS.get(kind)
    if model is None and is_instrument(kind) and kind_of(kind) in kinds():
        model = _declared(instrument(kind))
    if model is None:
        raise RunError(f"There is no job {kind!r}; there are {', '.join(kinds())}.")
    if isinstance(payload, model):
        return payload
    if not isinstance(payload, dict):
        raise RunError(f"The payload of a {kind!r} job is an object, not {payload!r}.")
    return parse(model, payload)
