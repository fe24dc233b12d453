"""What instrument workers can do: one function a kind of job, on warm nets and data sets."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from explorer.errors import Cancelled, DataError, SkipscopeError
from explorer.instruments.doors import job as instrument_job
from explorer.measuring.image import read_image
from explorer.measuring.match import matched
from explorer.measuring.predict import predict
from explorer.measuring.programs import evaluate_programs, without
from explorer.measuring.recognise import candidates, recognise
from explorer.measuring.statistics import measuring
from explorer.measuring.timing import time_forward
from explorer.nets import create_net
from explorer.nets.adapters import external_blueprint, load_external
from explorer.nets.export import export_code
from explorer.nets.weight_files import stored_tensors
from explorer.nets.weights import fitted_to
from explorer.results import ForwardTiming, Prediction
from explorer.runs.worker.warm import Context, Payload
from explorer.structure.blueprint import to_json
from explorer.structure.names import token_of
from explorer.structure.specs import parse_net


def evaluate(context: Context, payload: Payload) -> Payload:
    warm = context.net(payload["net"])
    net, dataset = matched(warm.net, context.dataset(payload))
    plan = net.blueprint
    program = payload["program"]
    if program is None:
        program = without(plan, payload["deleted"])
    intact, answer = evaluate_programs(
        net,
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
        "normalised": dataset.normalisation,
    }


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
        net, its_data = matched(warm.net, dataset)
        plan = net.blueprint
        deleted = payload["deleted"][position] if payload["deleted"] else ()
        program = without(plan, deleted) if deleted else None
        batch = its_data.normalise(image[None]).to(context.shelf.device)
        with measuring(net, its_data, image[None]) as used:
            share = predict(net, batch, program=program)[0]
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


def reproduce(context: Context, payload: Payload) -> Payload:
    from explorer.reproduce import figure
    from explorer.reproduce.measures.measure import measure

    def tell(share: float, text: str) -> None:
        if context.cancelled():
            raise Cancelled("The measurement was stopped.")
        context.progress(share, text)

    found = measure(figure(payload["figure"]), tell, most=1)
    return found.model_dump(mode="json")


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


def fits(context: Context, payload: Payload) -> Payload:
    path = Path(payload["path"])
    specs = candidates(path)
    taken: str | None = token_of(specs[0]) if len(specs) == 1 else None
    said = [*stored_tensors(path).notes]
    if taken is None and payload["data"] is not None:
        try:
            net, words = recognise(path, specs, context.dataset(payload))
        except SkipscopeError as error:
            said.append(str(error))
        else:
            taken = token_of(net.spec)
            said.append(words)
    return {"nets": [token_of(spec) for spec in specs], "taken": taken, "said": said}


JOBS: dict[str, Callable[[Context, Payload], Payload]] = {
    "evaluate": evaluate,
    "predict": predictions,
    "prepare_data": prepare_data,
    "prepare_weights": prepare_weights,
    "timing": timing,
    "reproduce": reproduce,
    "code": code,
    "blueprint": blueprint,
    "fits": fits,
}


def run(context: Context, kind: str, payload: Payload) -> Payload:
    """The answer to a job of any kind."""
    if kind in JOBS:
        return JOBS[kind](context, payload)
    return instrument_job.run(context, kind, payload)


# ----------------------------------------------------------------------------------- helpers


def _png(image: Tensor) -> str:
    """uint8 (C, H, W) as a PNG, base64."""
    from PIL import Image

    pixels = image.cpu().numpy()
    picture = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
    file = io.BytesIO()
    picture.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()
