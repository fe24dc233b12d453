"""Downloads that a person asked for on the Instruments page; a link, or a look, fetches nothing."""

from __future__ import annotations

import threading
from typing import Any

from explorer.data.downloads import SOURCES, is_here
from explorer.errors import RunError
from explorer.pages.shared.measurements import Measured
from explorer.pages.shared.sources import SourceNet
from explorer.runs.serve.job_queue import JobHandle
from explorer.runs.serve.service import RunService
from explorer.structure.library_nets import check_name, is_external
from explorer.structure.specs import DATASETS, DataSpec, parse


class Downloads:
    """By what is fetched (a data set's name, or that of another library's net), how it stands."""

    def __init__(self) -> None:
        self._jobs: dict[str, JobHandle] = {}
        self._lock = threading.Lock()

    def begin(self, service: RunService, what: str) -> None:
        """Fetches it, unless that is under way.

        Raises:
            SkipscopeError: One sentence: there is no such thing, or this asker may not.
        """
        with self._lock:
            before = self._jobs.get(what)
            if before is not None and before.state in ("waiting", "running"):
                return
            if what in SOURCES:
                data = parse(DataSpec, {"name": what}).model_dump(mode="json")
                self._jobs[what] = service.submit("prepare_data", {"data": data})
            elif is_external(what):
                self._jobs[what] = service.submit("prepare_weights", {"name": check_name(what)})
            else:
                raise RunError(f"{what[:40]!r} is nothing that is downloaded.")

    def under_way(self, what: str) -> Measured | None:
        """What is shown in the place of a measurement meanwhile, or after it has failed."""
        with self._lock:
            job = self._jobs.get(what)
        if job is None or job.state == "done":
            return None
        share, text = job.progress
        number = hash((share, text, job.error)) % 2**31
        return Measured(number, None, False, share, text or "waiting", job.error)

    def stamp(self, what: str, stamp: Any) -> Any:
        """Another stamp once it is here, whoever fetched it: what failed before is asked again."""
        if what in SOURCES:
            return (stamp, what)
        with self._lock:
            job = self._jobs.get(what)
        return stamp if job is None or job.state != "done" else (stamp, job.id)


downloads = Downloads()


def wanted(net: SourceNet) -> str:
    """What a net's measurement would fetch first; empty for nothing that this knows of."""
    if not is_here(net.data):
        return net.data.name
    if net.source.get("source") == "external" and net.source.get("weights") == "default":
        return str(net.source["name"])
    return ""


def words(what: str) -> str:
    """On the button."""
    if what in SOURCES:
        return f"Download {DATASETS[what].title} ({SOURCES[what].megabytes:.0f} MB)"
    return f"Download the weights of {what}"
