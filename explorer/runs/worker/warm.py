"""What a worker keeps warm, nets and data sets, and what a job may use of it while it runs."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from explorer.data.dataset import Dataset
from explorer.data.load import load_data
from explorer.measuring.match import telling_apart
from explorer.nets import Net, create_net
from explorer.nets.adapters import load_external
from explorer.nets.weights import load_pretrained, net_with_weights
from explorer.structure.specs import DataSpec, parse, parse_net
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
        """The payload's data."""
        return self.shelf.dataset(payload["data"], self.tell)

    def tell(self, text: str, share: float) -> None:
        self.progress(share, text)
        self.cancelled()


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
