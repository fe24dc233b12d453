"""Where on one image the gates of a convolutional net are open."""

from __future__ import annotations

import torch
from torch import Tensor

from explorer.data.dataset import Dataset
from explorer.instruments.contract import Job, OneImage
from explorer.instruments.gate_image.ask import Ask
from explorer.instruments.gate_image.result import GateImage
from explorer.measuring.gates import numbers, run_through, unit_gates
from explorer.measuring.picture import picture
from explorer.measuring.select import check_fit, data_name, net_name
from explorer.measuring.statistics import measuring
from explorer.measuring.taps import tap
from explorer.nets import Net


def measure(net: Net, data: Dataset, image: OneImage, ask: Ask, job: Job) -> GateImage:
    """A map for each unit: its gate at each place, one channel's or the mean over all.

    Cost: one forward pass of one image.
    """
    kind, gates = unit_gates(net)
    check_fit(net, data)
    shown = picture(data, image.image)

    def maps(gate: Tensor) -> Tensor:
        return gate[0].mean(0) if ask.of_channel is None else gate[0, ask.of_channel].clone()

    names = [gate.name for gate in gates]
    with (
        measuring(net, data, shown.pixels[None]) as used,
        torch.inference_mode(),
        tap(net, names, reduce=maps) as taps,
    ):
        run_through(net, data, shown.pixels[None])
    return GateImage(
        net=job.name or net_name(net),
        data=data_name(data),
        gate=kind,
        image_name=shown.name,
        channel=ask.of_channel,
        units=tuple(gate.unit for gate in gates),
        maps=tuple(numbers(taps.outputs[gate][0]) for gate in names),
        statistics=used,
        picture=shown.array(),
    )
