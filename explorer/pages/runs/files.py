"""What the Runs page hands out as files: report, numbers, weights, code."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from explorer.errors import RunError
from explorer.pages.runs.listing import Lane, from_query
from explorer.pages.server.visitors import get_service
from explorer.report.figures import parts
from explorer.report.material import ReportLane, of_runs
from explorer.report.page import report_html
from explorer.report.tables import csv_text, json_text
from explorer.runs.serve.service import RunService
from explorer.structure.names import title_of

CODE_SECONDS = 60.0  # for a worker to write a net's code
# By kind: what the link to it says.
FILES = {
    "html": "Report, one HTML file",
    "csv": "Numbers, CSV",
    "json": "Everything, JSON",
    "figures": "Figures, Plotly JSON",
    "weights": "Weights, safetensors",
    "code": "PyTorch code with its weights",
}


@dataclass(frozen=True)
class File:
    """A file for the visitor; the content comes in pieces, as it may be long."""

    name: str
    media_type: str
    pieces: Iterator[str] | Iterator[bytes]


def download(query: Mapping[str, str]) -> File:
    """The file of ``as`` (of ``FILES``) for the lanes of ``lanes`` (``ID.LANE,…``).

    Raises:
        SkipscopeError: One sentence: no such kind, run or lane, or nothing to save yet.
    """
    service = get_service()
    lanes = list(from_query(query).lanes or ())
    if not lanes:
        raise RunError("There is nothing to save: choose a run, and at least one of its nets.")
    told = of_runs(service, lanes)
    name = _safe("-".join(dict.fromkeys(lane.training.name for lane in told)))
    match query.get("as", "html"):
        case "html":
            return File(f"{name}.html", "text/html", iter([report_html(told)]))
        case "csv":
            return File(f"{name}.csv", "text/csv", csv_text(told, service.all_records))
        case "json":
            return File(f"{name}.json", "application/json", json_text(told, service.all_records))
        case "figures":
            return File(f"{name}-figures.zip", "application/zip", iter([_figures(told)]))
        case "weights":
            return _weights(service, lanes, name)
        case "code":
            return File(f"{name}-code.zip", "application/zip", iter([_code(service, lanes)]))
        case other:
            raise RunError(
                f"There is no file of kind {other[:20]!r}; there are {', '.join(FILES)}."
            )


def dead_end(sentence: str) -> str:
    """A page that says why there is no file, and leads back."""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<title>No file</title><link rel="icon" href="data:,">'
        "<style>:root{color-scheme:light dark}body{font:17px/1.5 system-ui,sans-serif;"
        "max-width:40rem;margin:15vh auto;padding:0 1rem}</style>"
        f'<p>{escape(sentence)}</p><p><a href="../../runs">Back to the runs</a></p></html>'
    )


def _figures(lanes: Sequence[ReportLane]) -> bytes:
    return _zipped({f"{p.key}.json": str(p.figure.to_json()).encode() for p in parts(lanes)})


def _weights(service: RunService, lanes: Sequence[Lane], name: str) -> File:
    """The file as it lies in the store; several are put into one archive."""
    files = _weight_files(service, lanes)
    if len(files) == 1:
        [(own, path)] = files.items()
        return File(f"{own}.safetensors", "application/octet-stream", iter([path.read_bytes()]))
    content = {f"{own}.safetensors": path.read_bytes() for own, path in files.items()}
    return File(f"{name}-weights.zip", "application/zip", iter([_zipped(content)]))


def _code(service: RunService, lanes: Sequence[Lane]) -> bytes:
    content: dict[str, bytes] = {}
    files = _weight_files(service, lanes)
    for (run, lane), (own, path) in zip(lanes, files.items(), strict=True):
        spec = service.experiment(run).spec.lanes[lane]
        weights = f"{own}.safetensors"
        job = service.submit("code", {"spec": spec, "weights": weights})
        answer = job.wait(CODE_SECONDS)
        job.cancel()
        if answer is None:
            raise RunError(job.error or "The code is not written yet: try again in a moment.")
        content[f"{own}.py"] = answer["code"].encode()
        content[weights] = path.read_bytes()
    return _zipped(content)


def _weight_files(service: RunService, lanes: Sequence[Lane]) -> dict[str, Path]:
    """By a name that no two share, and that Python can import."""
    found: dict[str, Path] = {}
    for run, lane in lanes:
        path = service.weights_file(run, lane)
        title = title_of(service.experiment(run).spec.lanes[lane]).split(",")[0]
        own = _safe(title).lower().replace("-", "_")
        found[own if own not in found else f"{own}_{len(found) + 1}"] = path
    return found


def _zipped(content: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, inside in content.items():
            archive.writestr(name, inside)
    return file.getvalue()


def _safe(text: str) -> str:
    """Letters, digits and single hyphens: a file's name anywhere."""
    return re.sub(r"\W+", "-", text).strip("-")[:80] or "run"
