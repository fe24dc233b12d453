"""How often a net is right: counted once more, image by image."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import explorer
from explorer.cli import main
from explorer.data.load import load_data
from explorer.nets import load_pretrained
from explorer.results.common import wilson_interval
from explorer.structure.cards import shipped
from explorer.structure.specs import DataSpec

NET = "digits_resnet_v2_56"


def test_right_answers_are_counted() -> None:
    net, data = load_pretrained(NET), load_data(DataSpec())
    found = explorer.accuracy(net, data)
    with torch.no_grad():
        logits = net(data.normalise(data.test_images))
    labels = data.test_labels
    right = logits.argmax(1) == labels
    of_five = (logits.topk(5).indices == labels[:, None]).any(1)
    assert found.n_images == 360
    assert found.accuracy == float(right.double().mean()) == shipped()[NET].accuracy
    assert found.top_5 == float(of_five.double().mean())
    for c in range(10):
        assert found.right[c] == int(right[labels == c].sum())
        assert found.of_class[c] == int((labels == c).sum())
    assert (found.low_95, found.high_95) == wilson_interval(found.accuracy, 360)
    np.testing.assert_array_equal(found.intervals()[0], wilson_interval(1.0, 36))
    again = type(found).from_json(json.loads(json.dumps(found.to_json())))
    assert again.to_json() == found.to_json()
    few = explorer.accuracy(net, data, n_images=50, train=True)
    assert (few.n_images, few.images) == (50, "train")


def test_the_shell_says_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", NET]) == 0
    told = capsys.readouterr().out
    assert f"{NET}: 98.33 % right (95 % interval 96.41 % to 99.23 %; 360 test" in told
    assert "normalised by the weights' mean (0.306) and std (0.376)" in told
    assert main(["accuracy", "plain_8", "--n", "100"]) == 0  # untrained
    told = " ".join(capsys.readouterr().out.split())
    assert "One and the same answer to all would be right for 10.0 %" in told
