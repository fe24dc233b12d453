"""What the pages of reuse and propagation say of results whose answers are known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from asking import Lane
from asking import page_of as instrument

from explorer.instruments.propagation.result import Propagation
from explorer.instruments.reuse.result import FeatureReuse, ReuseBlock
from explorer.pages.instruments.on_page import Asking
from explorer.structure.blueprint import blueprint
from explorer.structure.names import spec_of
from explorer.structure.specs import DATASETS, DataSpec

NAN = float("nan")


def lane(token: str, result: dict[str, Any], done: bool = True) -> Lane:
    return Lane(0, token, blueprint(spec_of(token)), DATASETS["digits"], result, done)


def asking(source: str, **options: Any) -> Asking:
    return Asking(0, {"source": source}, DataSpec(), None, 7, options, None)


def test_reuse_says_whose_maps_are_used() -> None:
    block = ReuseBlock(
        "block 1",
        ("input", "stages.0.units.0"),
        (16, 4),
        ("stages.0.units.0", "head"),
        np.asarray([[0.2, 0.1], [NAN, 0.4]]),
    )
    made = lane("densenet_7_k4", FeatureReuse("", False, (block,)).to_json())
    one = instrument("reuse")
    options = {"of": "relative", "scaled": False}
    (said,) = one.caption([made], options)
    assert "25 % at the least" in said
    assert "largest on layer 1 (stages.0.units.0)" in said
    assert "on the last block's input they are 25 % of those" in said
    assert [row["mean |w|"] for row in one.table(made.result)] == [0.2, 0.1, 0.4]
    assert "0.1" in one.formula([made], options)[1]
    assert one.payload(asking("shipped", of="relative", scaled=True))["scaled"]
    assert one.not_for(blueprint(spec_of("plain_8"))).endswith("densenet_40_k12.")
    assert one.not_for(made.plan) is None  # type: ignore[arg-type]
    assert one.figure([made], {**options, "narrow": True}, "dark").data


def test_propagation_says_how_much_grows() -> None:
    result = Propagation(
        "",
        "digits",
        64,
        True,
        2,
        ("input", "stem", "stages.0.units.0", "stages.0.units.1"),
        np.asarray([[1.0, 0.5, 1.0, 2.0], [1.0, 0.5, 1.0, 2.0]]),
        np.asarray([[8.0, 4.0, 2.0, 1.0], [8.0, 4.0, 2.0, 1.0]]),
    )
    one = instrument("propagation")
    made = lane("resnet_v2_14", result.to_json(), done=False)
    (said,) = one.caption([made], {"of": "variance"})
    assert "0.5 after the stem and 2 after the last block, 4 ×" in said
    assert "median of 2 fresh nets, 64 training images, so far" in said
    (said,) = one.caption([made], {"of": "gradient"})
    assert "8 at the image and 1 at the last block's output, 8 ×" in said
    assert "2 / 0.5 over 2 blocks: 2 a block" in one.formula([made], {"of": "variance"})[1]
    assert (
        "4 / 1 over 2 blocks: 2 a block towards the image"
        in (one.formula([made], {"of": "gradient"})[1])
    )
    assert one.table(made.result)[1] == {
        "after": "stem",
        **dict.fromkeys(("variance", "least variance", "greatest variance"), 0.5),
        **dict.fromkeys(("RMS of the gradient", "least RMS", "greatest RMS"), 4.0),
    }
    spoilt = result.to_json()
    spoilt["variance"][0][3] = None  # an overflow
    (said,) = one.caption([lane("resnet_v2_14", spoilt)], {"of": "variance"})
    assert said == "resnet_v2_14: some values are too large or too small to be told."
    assert one.table(spoilt)[3]["variance"] is None
    assert one.figure([lane("resnet_v2_14", spoilt)], {"of": "variance"}, "light").data
    known = replace(asking("shipped", start="fresh"), plan=blueprint(spec_of("plain_8")))
    fresh = one.payload(known)
    assert (fresh["start"], fresh["seeds"]) == ("fresh", 5)
    assert one.payload(asking("shipped", start="own"))["start"] == "own"
    assert one.payload(asking("external", start="fresh"))["start"] == "own"
    assert one.was["weights"][0] == "start"
