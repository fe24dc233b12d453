"""Gradients of fresh nets and of nets in training: first layers beside last ones, with depth."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from explorer.claims.measures.nets import SEEDS, fresh, images
from explorer.instruments import functions
from explorer.measuring.gradients import layer_gradients
from explorer.measuring.statistics import batch_statistics


def first_to_last(net: str) -> list[float]:
    """Of the weights' gradients, medians of three; one number a seed."""
    return [layer_gradients(fresh(net, seed), images()).first_to_last() for seed in SEEDS]


def a_layer_more(net: str) -> list[float]:
    """exp of the slope of the first layer's log gradient over the depths N; one number a seed."""
    depths = (8, 20, 32, 56)
    found = []
    for seed in SEEDS:
        logs = [
            np.log(layer_gradients(fresh(named, seed), images(), n_images=64).parameter_rms[0])
            for named in (net.replace("N", str(depth)) for depth in depths)
        ]
        found.append(float(np.exp(np.polyfit(depths, logs, 1)[0])))
    return found


def shares_of_layers(net: str) -> list[float]:
    """Σ w·∂L/∂w of a layer's weights ÷ the mean of all layers': least and greatest of each seed."""
    found = []
    data = images()
    x, labels = data.normalise(data.train_images[:256]), data.train_labels[:256]
    for seed in SEEDS:
        made = fresh(net, seed)
        with batch_statistics(made), torch.enable_grad():
            weights = [
                made.get_parameter(f"{layer.name}.weight") for layer in made.blueprint.weight_layers
            ]
            gradients = torch.autograd.grad(F.cross_entropy(made(x), labels), weights)
        products = [
            float((w.detach().double() * g.double()).sum())
            for w, g in zip(weights, gradients, strict=True)
        ]
        middle = float(np.mean(products))
        found += [min(products) / middle, max(products) / middle]
    return found


def zeros_to_circular(net: str) -> list[float]:
    """First layer's gradient, zero padding ÷ circular padding; one number a seed."""
    return [
        float(
            layer_gradients(fresh(net, seed), images()).parameter_rms[0]
            / layer_gradients(fresh(f"{net};padding=circular", seed), images()).parameter_rms[0]
        )
        for seed in SEEDS
    ]


def variance_a_unit(net: str) -> list[float]:
    """By what a unit multiplies the signal's variance, on average; one number a seed."""
    made = fresh(net, 0)
    measured = functions.propagation(made, images(), seeds=6, seed=0)
    whole = measured.variance[:, -1] / measured.variance[:, 1]
    return [float(value) for value in whole ** (1 / len(made.blueprint.units))]


def first_to_last_in_training(net: str, steps: int, after: int) -> list[float]:
    """Of the weights' gradients, median over the recorded steps from ``after`` on; by seed."""
    from explorer.instruments.doors.trainings import of_lane
    from explorer.instruments.history.measure import layer_history
    from explorer.structure.names import spec_of
    from explorer.structure.specs import RECIPES, DataSpec, ExperimentSpec, fit_to_data
    from explorer.training.loop import Session

    found = []
    for seed in (7, 11, 12, 13):
        experiment = ExperimentSpec(
            lanes=(fit_to_data(spec_of(net), DataSpec()),),
            training=RECIPES["one_cycle"].model_copy(update={"steps": steps}),
            seed=seed,
        )
        session = Session(experiment, images(), layers_every=10)
        records = list(session.records())
        history = layer_history(of_lane(experiment, 0, records))
        first, last = history.ends()
        found.append(float(np.median((first / last)[history.steps >= after])))
    return found
