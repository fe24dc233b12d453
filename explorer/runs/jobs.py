"""What instrument workers can do: one function a kind of job, on warm nets and data sets."""

from __future__ import annotations

import base64
import io
import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from explorer.blueprint import to_json
from explorer.data.dataset import Dataset
from explorer.data.load import load_data
from explorer.errors import DataError
from explorer.nets import Net, create_net
from explorer.nets.adapters import external_blueprint, load_external
from explorer.nets.export import export_code
from explorer.nets.weights import fitted_to, load_pretrained, net_with_weights
from explorer.probes.gates import gate_means
from explorer.probes.gradients import layer_gradients
from explorer.probes.image import read_image
from explorer.probes.match import normalised_for, telling_apart
from explorer.probes.predict import predict
from explorer.probes.programs import evaluate_programs, without
from explorer.probes.statistics import measuring
from explorer.probes.timing import time_forward
from explorer.results import ForwardTiming, Prediction
from explorer.runs.instruments.activations import activations
from explorer.runs.instruments.answers import answers
from explorer.runs.instruments.at_init import propagation, shattering
from explorer.runs.instruments.attribution import attribution, conductance
from explorer.runs.instruments.gates import gate_distribution, gate_image, gate_maps
from explorer.runs.instruments.gradients import (
    gradient_terms,
    gradients_at_init,
    shortcut_scaling,
    vanishing,
)
from explorer.runs.instruments.lesions import (
    gate_lesions,
    lesion_band,
    lesions,
    shuffle_lesions,
    stage_lesions,
    swap_lesions,
)
from explorer.runs.instruments.paths import path_counts, paths, unravelled
from explorer.runs.instruments.responses import (
    branches,
    classifier_by_unit,
    estimation_error,
    responses,
)
from explorer.runs.instruments.reuse import reuse
from explorer.runs.instruments.sensitivity import sensitivity
from explorer.runs.instruments.surface import surface
from explorer.specs import DataSpec, parse, parse_net
from explorer.training import checkpoint, units
from explorer.training.devices import resolve

Payload = dict[str, Any]
V = TypeVar("V")
NETS_KEPT = 24
NETS_BYTES = 512 * 2**20
DATA_KEPT = 3
DATA_BYTES = 1024 * 2**20


@dataclass(frozen=True)
class WarmNet:
    """A net in evaluation mode.

    Attributes:
        name: What results call it; None takes the name of its spec.
        step: Of the weights, where a training wrote them.
        stamp: Of the file that they came from.
    """

    net: Net
    name: str | None
    step: int | None
    stamp: list[int] | None


class Shelf:
    """Nets and data sets that were used lately, within a bound of memory."""

    def __init__(self) -> None:
        self.device = resolve("auto")
        self._nets: OrderedDict[str, WarmNet] = OrderedDict()
        self._data: OrderedDict[str, Dataset] = OrderedDict()

    def clear(self) -> None:
        """Keeps nothing; what is asked next is loaded anew."""
        self._nets.clear()
        self._data.clear()

    def dataset(
        self, value: Payload, tell: Callable[[str, float], None], *, download: bool = False
    ) -> Dataset:
        """The data set of a spec's JSON, on the device; it is fetched where that was asked for."""
        key = json.dumps(value, sort_keys=True)
        if key not in self._data:
            spec = parse(DataSpec, value)
            self._data[key] = load_data(spec, tell, download=download).to(self.device)
        self._data.move_to_end(key)
        _shrink(self._data, DATA_KEPT, DATA_BYTES, _data_bytes)
        return self._data[key]

    def forget_data(self, value: Payload) -> None:
        """So that the next use reads the files anew."""
        self._data.pop(json.dumps(value, sort_keys=True), None)

    def net(self, source: Payload, level: int) -> WarmNet:
        """The net of a source (see :meth:`RunService.submit`).

        Args:
            level: Depth on the stack of jobs. A click in the middle of a sweep has its own copy.
        """
        key = json.dumps([level, source], sort_keys=True)
        if key not in self._nets or self._nets[key].stamp != _stamp(source):
            self._nets[key] = self._load(source)
        self._nets.move_to_end(key)
        _shrink(self._nets, NETS_KEPT, NETS_BYTES, lambda warm: _net_bytes(warm.net))
        return self._nets[key]

    def _load(self, source: Payload) -> WarmNet:
        step, stamp = None, _stamp(source)
        match source["source"]:
            case "shipped":
                net, name = load_pretrained(source["name"]), source["name"]
            case "fresh":
                net, name = create_net(parse_net(source["spec"]), seed=source["seed"]), None
            case "external":
                net, name = _external(source), source["name"]
            case _:
                net, name = net_with_weights(parse_net(source["spec"]), source["path"]), None
                state = checkpoint.snapshot_state(source["path"])
                step = state.get("step")
                units.pass_by_named(net, state.get("deleted", ()))
                if _stamp(source) != stamp:  # a training wrote newer weights meanwhile
                    return self._load(source)
        return WarmNet(net.eval().to(self.device), name, step, stamp)


@dataclass(frozen=True)
class Context:
    """What a job may use while it runs.

    Attributes:
        cancelled: To be asked often: it also lets clicks that wait come first.
    """

    shelf: Shelf
    level: int
    cancelled: Callable[[], bool]
    progress: Callable[[float, str], None]
    partial: Callable[[Any], None]

    def net(self, source: Payload) -> WarmNet:
        return self.shelf.net(source, self.level)

    def dataset(self, payload: Payload) -> Dataset:
        """The payload's data, normalised as its net wants it, where that is another library's."""
        dataset = self.shelf.dataset(payload["data"], self.tell)
        net = payload.get("net")
        if net is None or net["source"] != "external":
            return dataset
        return normalised_for(self.net(net).net, dataset)

    def tell(self, text: str, share: float) -> None:
        self.progress(share, text)
        self.cancelled()


def evaluate(context: Context, payload: Payload) -> Payload:
    warm, dataset = context.net(payload["net"]), context.dataset(payload)
    plan = warm.net.blueprint
    program = payload["program"]
    if program is None:
        program = without(plan, payload["deleted"])
    intact, answer = evaluate_programs(
        warm.net,
        dataset,
        [[unit.name for unit in plan.units], program],
        n_images=payload["n_images"],
        name=warm.name,
        cancelled=context.cancelled,
    )
    applied = set(answer.program)
    return {
        **answer.to_json(),
        "deleted": [unit.name for unit in plan.units if unit.name not in applied],
        "baseline_accuracy": intact.accuracy,
        "step": warm.step,
    }


def gradients(context: Context, payload: Payload) -> Payload:
    warm, dataset = context.net(payload["net"]), context.dataset(payload)
    n_images = payload["n_images"] or 256
    result = layer_gradients(warm.net, dataset, n_images=n_images, name=warm.name)
    return {**result.to_json(), "step": warm.step}


def gates(context: Context, payload: Payload) -> Payload:
    warm, dataset = context.net(payload["net"]), context.dataset(payload)
    n_images = payload["n_images"] or 1000
    result = gate_means(warm.net, dataset, n_images=n_images, name=warm.name)
    return {**result.to_json(), "step": warm.step}


def predictions(context: Context, payload: Payload) -> Payload:
    dataset = context.dataset(payload)
    index, path = payload["index"], payload["image_path"]
    n_test = len(dataset.test_labels)
    if index is None:
        true_class = None
        image = read_image(path, dataset.info.input_shape)
    elif index < n_test:
        true_class = int(dataset.test_labels[index])
        image = dataset.test_images[index]
    else:
        raise DataError(
            f"There is no test image {index}: {dataset.info.title} has {n_test}, 0 to {n_test - 1}."
        )
    rows = []
    for position, source in enumerate(payload["nets"]):
        warm = context.net(source)
        plan = warm.net.blueprint
        deleted = payload["deleted"][position] if payload["deleted"] else ()
        program = without(plan, deleted) if deleted else None
        its_data = normalised_for(warm.net, dataset)
        batch = its_data.normalise(image[None]).to(context.shelf.device)
        with measuring(warm.net, its_data, image[None]) as used:
            share = predict(warm.net, batch, program=program)[0]
        rows.append(Prediction(warm.name or "", share, true_class, used).to_json())
    return {
        "predictions": rows,
        "classes": list(dataset.info.classes),
        "true_class": true_class,
        "n_test": n_test,
        "image": _png(image),
    }


def prepare_data(context: Context, payload: Payload) -> Payload:
    context.shelf.forget_data(payload["data"])
    dataset = context.shelf.dataset(payload["data"], context.tell, download=True)
    return {
        "title": dataset.info.title,
        "input_shape": list(dataset.info.input_shape),
        "classes": list(dataset.info.classes),
        "n_train": len(dataset.train_labels),
        "n_test": len(dataset.test_labels),
    }


def prepare_weights(context: Context, payload: Payload) -> Payload:
    context.tell(f"Downloading the weights of {payload['name']}", 0.0)
    load_external(payload["name"], weights="default")
    return {"name": payload["name"]}


def timing(context: Context, payload: Payload) -> Payload:
    external, seed = payload["external"], 0
    net = (
        create_net(parse_net(payload["spec"]), seed=seed)
        if external is None
        else load_external(external, seed=seed)
    ).to(context.shelf.device)
    steps = payload["steps"]

    def tell(so_far: ForwardTiming) -> None:
        context.partial(so_far.to_json())
        context.progress(len(so_far.seconds) / steps, "timing")

    return time_forward(
        net,
        images=payload["images"],
        steps=steps,
        burn_in=payload["burn_in"],
        fast=payload["fast"],
        on_progress=tell,
        cancelled=context.cancelled,
    ).to_json()


def code(context: Context, payload: Payload) -> Payload:
    return {"code": export_code(parse_net(payload["spec"]), weights=payload["weights"])}


def blueprint(context: Context, payload: Payload) -> Payload:
    source = payload["net"]
    if "path" not in source:
        plan = external_blueprint(source["name"])
        return {"blueprint": to_json(plan), "tensors": None, "values": None}
    if source["source"] == "weights":
        spec = fitted_to(parse_net(source["spec"]), source["path"])
        source = {**source, "spec": spec.model_dump(mode="json")}
    net = context.net(source).net
    values = net.state_dict().values()
    return {
        "blueprint": to_json(net.blueprint),
        "tensors": len(values),
        "values": sum(value.numel() for value in values),
    }


JOBS: dict[str, Callable[[Context, Payload], Payload]] = {
    "lesions": lesions,
    "lesion_band": lesion_band,
    "shuffle_lesions": shuffle_lesions,
    "swap_lesions": swap_lesions,
    "stage_lesions": stage_lesions,
    "gate_lesions": gate_lesions,
    "evaluate": evaluate,
    "gradients": gradients,
    "gates": gates,
    "predict": predictions,
    "prepare_data": prepare_data,
    "prepare_weights": prepare_weights,
    "timing": timing,
    "code": code,
    "blueprint": blueprint,
    "attribution": attribution,
    "conductance": conductance,
    "activations": activations,
    "answers": answers,
    "reuse": reuse,
    "propagation": propagation,
    "sensitivity": sensitivity,
    "surface": surface,
    "shattering": shattering,
    "gradient_terms": gradient_terms,
    "gradients_at_init": gradients_at_init,
    "vanishing": vanishing,
    "shortcut_scaling": shortcut_scaling,
    "responses": responses,
    "branches": branches,
    "classifier_by_unit": classifier_by_unit,
    "estimation_error": estimation_error,
    "gate_maps": gate_maps,
    "gate_distribution": gate_distribution,
    "gate_image": gate_image,
    "paths": paths,
    "path_counts": path_counts,
    "unravelled": unravelled,
}


# ----------------------------------------------------------------------------------- helpers


def _external(source: Payload) -> Net:
    """Another library's net, for the images and classes that the service has looked up."""
    names, shape = source["classes"], source["input_shape"]
    fresh = source["weights"] is None
    net = load_external(
        source["name"],
        weights=source["weights"],
        input_shape=None if shape is None else (shape[0], shape[1], shape[2]),
        classes=len(names) if fresh and names is not None else None,
        seed=source["seed"],
        download=False,
    )
    return net if names is None else telling_apart(net, names, source["data"])


def _stamp(source: Payload) -> list[int] | None:
    """Changes when a weights file is written again."""
    path = Path(source["path"]) if "path" in source else None
    if path is None or not path.exists():  # a missing file has its sentence where it is loaded
        return None
    state = path.stat()
    return [state.st_mtime_ns, state.st_size]


def _png(image: Tensor) -> str:
    """uint8 (C, H, W) as a PNG, base64."""
    from PIL import Image

    pixels = image.cpu().numpy()
    picture = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
    file = io.BytesIO()
    picture.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def _net_bytes(net: Net) -> int:
    return sum(value.nbytes for value in net.state_dict().values())


def _data_bytes(dataset: Dataset) -> int:
    return int(dataset.train_images.nbytes + dataset.test_images.nbytes)


def _shrink(shelf: OrderedDict[str, V], most: int, room: int, size: Callable[[V], int]) -> None:
    """Lets the longest unused go; the last used always stays."""
    while len(shelf) > 1 and (
        len(shelf) > most or sum(size(value) for value in shelf.values()) > room
    ):
        shelf.popitem(last=False)
