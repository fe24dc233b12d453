"""From a request to what a worker understands: paths for names, and the data that is meant.

A request names nets and images as people do: a lane of a run, shipped weights, an uploaded file. A
worker knows no experiments; it is given paths, specs and the data set.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from explorer.data.catalog import data_info
from explorer.errors import DataError
from explorer.runs.protocol import Message
from explorer.runs.serve.pictures import is_picture, picture_path
from explorer.runs.serve.requests import (
    ExternalSource,
    FileSource,
    FitsRequest,
    FreshNetsRequest,
    FreshSource,
    OneImage,
    OneNet,
    PredictRequest,
    PrepareDataRequest,
    PrepareWeightsRequest,
    ReproduceRequest,
    RunSource,
    ShippedSource,
    Source,
    TimingRequest,
)
from explorer.runs.serve.uploads import upload_path
from explorer.structure.cards import shipped, shipped_path
from explorer.structure.library_nets import check_name, images_for
from explorer.structure.named_nets import is_upload
from explorer.structure.specs import DataSpec, ExperimentSpec, sized_for


@dataclass(frozen=True)
class Question:
    """A job as the queue takes it.

    Attributes:
        key: Equal for equal questions about equal files: a file that was written anew since is
            another one.
        message: What the worker is sent.
        remember: Whether the answer holds as long as the key does: a timing, or a folder of
            images, may be another one tomorrow.
    """

    key: str
    message: Message
    remember: bool


class Resolver:
    """Finds what requests name.

    Args:
        home: Skipscope's folder, where uploads lie.
        spec_of: Of an experiment, what it trains.
        weights_file: Of an experiment, a lane and a step, or None for the latest, the file.
    """

    def __init__(
        self,
        home: Path,
        spec_of: Callable[[str], ExperimentSpec],
        weights_file: Callable[[str, int, int | None], Path],
    ) -> None:
        self._home = home
        self._spec_of = spec_of
        self._weights_file = weights_file

    def question(self, kind: str, request: Any) -> Question:
        """The job for a request.

        Raises:
            SkipscopeError: One sentence: which net, image or data set is missing.
        """
        payload = request.model_dump(mode="json")
        data = None
        if getattr(request, "sees_images", True):
            data = self._data_of(request)
            payload["data"] = data.model_dump(mode="json")
        nets = [self._net(source, data) for source in request.sources]
        stamps = [_stamp(Path(net["path"])) if "path" in net else None for net in nets]
        if isinstance(request, (OneImage, PredictRequest)) and request.image_path is not None:
            path = self._picture(request.image_path)
            payload["image_path"] = str(path)
            stamps.append(_stamp(path))
        if isinstance(request, FitsRequest):
            payload["path"] = self._weights(request.path)
            stamps.append(_stamp(Path(payload["path"])))
        if isinstance(request, PredictRequest):
            payload["nets"] = nets
        elif nets:
            payload["net"] = nets[0]
        return Question(
            key=json.dumps([kind, payload, stamps], sort_keys=True),
            message={"kind": kind, "payload": payload},
            remember=not isinstance(
                request,
                (PrepareDataRequest, PrepareWeightsRequest, TimingRequest, ReproduceRequest),
            )
            and (data is None or data.name != "folder"),
        )

    def _net(self, source: Source, data: DataSpec | None) -> Message:
        """What a worker needs to find a net.

        Args:
            data: What the net is measured on; None where it is only looked at.
        """
        match source:
            case RunSource():
                path = self._weights_file(source.experiment, source.lane, source.step)
                net = self._spec_of(source.experiment).lanes[source.lane].model_dump(mode="json")
                return {"source": "weights", "spec": net, "path": str(path)}
            case FileSource():
                net = source.spec.model_dump(mode="json")
                return {"source": "weights", "spec": net, "path": self._weights(source.path)}
            case ExternalSource():
                return self._external(source, data)
            case ShippedSource():
                shipped_path(source.name)  # an unknown name is a sentence at once
                return source.model_dump(mode="json")
            case FreshSource():
                return source.model_dump(mode="json")

    def _external(self, source: ExternalSource, data: DataSpec | None) -> Message:
        """The source with what its net must know of the data: image shape and class names."""
        value: Message = {**source.model_dump(mode="json"), "name": check_name(source.name)}
        if source.weights not in (None, "default"):
            value["weights"] = value["path"] = self._weights(str(source.weights))
        info = None if data is None else data_info(data)
        value["input_shape"] = None if info is None else list(info.input_shape)
        value["classes"] = None if info is None else list(info.classes)
        value["data"] = None if info is None else info.title
        return value

    def _weights(self, path: str) -> str:
        """A path, or where an upload lies."""
        return str(upload_path(self._home, path)) if is_upload(path) else path

    def _picture(self, path: str) -> Path:
        """A path, or where a kept image lies."""
        return picture_path(self._home, path) if is_picture(path) else Path(path)

    def _data_of(
        self,
        request: OneNet
        | OneImage
        | PredictRequest
        | PrepareDataRequest
        | FreshNetsRequest
        | FitsRequest,
    ) -> DataSpec:
        external = next((s for s in request.sources if isinstance(s, ExternalSource)), None)
        if external is not None:
            return _for_external(external, request.data)
        source = request.sources[0] if request.sources else None
        trained, own = None, DataSpec()
        if isinstance(source, RunSource):
            experiment = self._spec_of(source.experiment)
            trained, own = experiment.lanes[source.lane], experiment.data
        elif isinstance(source, ShippedSource):
            shipped_path(source.name)
            card = shipped()[source.name]
            trained, own = card.spec, card.data
        if request.data is None:
            return own
        return request.data if trained is None else sized_for(trained, request.data)


def _for_external(source: ExternalSource, data: DataSpec | None) -> DataSpec:
    """The data for another library's net: images of a folder are cut as ImageNet's usually are."""
    name = check_name(source.name)
    if data is None:
        raise DataError(
            f"Choose the images on which {name} is to be measured: a folder of images, or cifar10."
        )
    weights = None if source.weights is None else str(source.weights)
    return images_for(name, weights, data)


def _stamp(path: Path) -> list[int] | None:
    try:
        state = path.stat()
    except OSError:  # a missing file has its sentence where it is read
        return None
    return [state.st_mtime_ns, state.st_size]
