"""What ``skipscope train --out`` left in its folder: the experiment and its records. No torch."""

from __future__ import annotations

import json
import os

from explorer.bounded import local_path
from explorer.cli.train import CHECKPOINT, RECORDS
from explorer.errors import RunError
from explorer.results import Record
from explorer.specs import ExperimentSpec, parse


def is_folder(name: str) -> bool:
    """Whether a net's name is such a folder instead."""
    return os.path.isdir(local_path(name, RunError))


def read_folder(name: str) -> tuple[ExperimentSpec, list[Record]]:
    """The experiment, and everything recorded up to its checkpoint.

    Raises:
        RunError: No folder of a training, or a damaged one.
    """
    from safetensors import SafetensorError, safe_open

    folder = local_path(name, RunError)
    try:
        with safe_open(folder / CHECKPOINT, framework="np") as file:
            state = json.loads((file.metadata() or {})["skipscope"])
        lines = (folder / RECORDS).read_text("utf-8").splitlines()
        return parse(ExperimentSpec, state["experiment"]), [
            Record.from_json(json.loads(line)) for line in lines
        ]
    except (OSError, SafetensorError, KeyError, ValueError):
        raise RunError(
            f"{name!r} is not the folder of a training: give one that `skipscope train --out "
            "FOLDER` wrote."
        ) from None
