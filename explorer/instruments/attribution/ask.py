"""What can be asked of the pixels that carried a decision."""

from __future__ import annotations

from typing import Literal

from explorer.errors import SpecError
from explorer.instruments import contract
from explorer.instruments.contract import option
from explorer.instruments.decisions import (
    Baseline,
    baseline_option,
    method_is,
    steps_option,
    target_option,
)
from explorer.structure.blueprint import Blueprint

Method = Literal["integrated_gradients", "grad_cam", "occlusion", "saliency"]


class Ask(contract.Ask):
    """Show which pixels carried a decision.

    What is explained is the logit f of one class. saliency: |∂f/∂x|. integrated_gradients: adds
    up to f(x) − f(x′), x′ an image of no evidence. grad_cam: weighted maps of a unit. occlusion:
    what f loses under a window. Which units carried it: conductance.
    """

    subject = "image"
    was = ("attribute",)
    examples = (
        "attribution digits_plain_56 digits_resnet_v2_56 --image 3",
        "attribution digits_resnet_v2_56 --image my_five.png --method occlusion",
        "attribution digits_resnet_v2_56 --image 3 --method grad_cam --unit stages.1.units.2",
        "attribution digits_plain_56 --image 7 --class true --html seven.html",
    )

    method: Method = option(
        "integrated_gradients",
        "Method",
        "way in which evidence is measured",
        words={
            "integrated_gradients": "integrated gradients",
            "grad_cam": "Grad-CAM",
            "occlusion": "occlusion",
            "saliency": "saliency",
        },
    )
    unit: str | int | None = option(
        None,
        "At block",
        "unit at whose output grad_cam looks; else the last that has maps",
        when=method_is("grad_cam"),
        pick="explorer.pages.instruments.picks:AT_UNIT",
        each=True,
    )
    target: str | int = target_option()
    baseline: Baseline = baseline_option(method_is("integrated_gradients", "occlusion"))
    steps: int | None = steps_option()
    window: int | None = option(
        None,
        "Window",
        "side in pixels of the window of occlusion",
        least=1,
        doors=("shell", "python"),
    )

    def for_net(self, plan: Blueprint | None, lane: int = 0) -> Ask:
        if self.unit is not None and self.method != "grad_cam":
            raise SpecError(
                f"A unit is chosen for grad_cam alone, and {self.method} looks at the pixels: "
                "leave the unit out, or take grad_cam."
            )
        return self

    def waits(self) -> Literal["click", "sweep"]:
        """One pass is a click; hundreds let clicks come first."""
        return "click" if self.method in ("saliency", "grad_cam") else "sweep"


class Show(contract.Show):
    pass
