"""A figure in words, as HTML: for the app's page and for the gallery alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from explorer.claims import SOURCES
from explorer.errors import SkipscopeError
from explorer.reproduce import compare
from explorer.reproduce.contract import HOLDS, MARKS, Figure, Line, Mark, Measurement, Verdict
from explorer.reproduce.kept import again, measurements
from explorer.structure.specs import DATASETS
from explorer.writing.wording import typeset

ASSETS = Path(__file__).parent / "assets"
TITLE = "Paper against ours"
LEAD = (
    "Each figure and table of the papers, with the paper's numbers beside what this program "
    "measured. Reproduced: by the paper's protocol. Reproduced smaller: it is said what is "
    "smaller. "
    "Not attempted: it is said why."
)


@dataclass(frozen=True)
class Ours:
    """One measurement, in words.

    Attributes:
        differs: What is smaller or other than in the paper, part by part.
    """

    measurement: Measurement
    verdict: Verdict
    lines: tuple[Line, ...]
    differs: tuple[str, ...]


@dataclass(frozen=True)
class Told:
    """A figure with all that is known of it.

    Attributes:
        ours: First those from which the claim can be told; among these the closest to the paper.
        lines: The paper's numbers, where nothing was measured.
        problem: Why a kept measurement cannot be read.
    """

    row: Figure
    mark: Mark
    ours: tuple[Ours, ...]
    lines: tuple[Line, ...]
    problem: str = ""

    @property
    def reason(self) -> str:
        """Why nothing was measured."""
        if self.problem:
            return self.problem
        return self.row.why_not or f"It has not been measured yet; `{again(self.row)}` does."

    @property
    def said(self) -> str:
        """One sentence, for a list: what our measurement says, or why there is none."""
        return self.verdict.says if self.verdict else self.reason

    @property
    def verdict(self) -> Verdict | None:
        return self.ours[0].verdict if self.ours else None


def told(row: Figure, found: Sequence[Measurement] | None = None) -> Told:
    """What is known of a figure; a damaged file is a sentence.

    Args:
        found: The measurements; None reads those that are kept.
    """
    problem = ""
    if found is None:
        try:
            found = measurements(row)
        except SkipscopeError as error:
            found, problem = [], str(error)
    ours = []
    for one in found:
        assert row.judge is not None
        verdict = row.judge(row, one)
        lines = tuple(row.lines(row, one)) if row.lines else ()
        ours.append(Ours(one, verdict, lines, tuple(compare.smaller(row, one))))
    ours.sort(key=lambda one: one.verdict.holds == "open")
    lines = tuple(row.lines(row, None) if row.lines else _numbers(row))
    shown = [one.measurement for one in ours]
    return Told(row, compare.mark(row, shown), tuple(ours), lines, problem)


def _numbers(row: Figure) -> list[Line]:
    return [Line(name, str(number)) for name, number in row.numbers.items()]


def paper_title(paper: str) -> str:
    return SOURCES[paper]


def conditions(measurement: Measurement) -> str:
    """How it was measured, and the command that does it again."""
    if not measurement.created:
        return "Counted anew whenever it is shown."
    parts = []
    if measurement.cards:
        parts.append(f"read from the cards of {', '.join(measurement.cards)}")
    if measurement.hardware:
        threads = f"{measurement.threads} thread{'s' if measurement.threads > 1 else ''}"
        parts.append(f"{measurement.hardware}, {threads}, {measurement.seconds:,.0f} s")
    parts.append(", ".join(f"{name} {version}" for name, version in measurement.versions.items()))
    parts.append(measurement.created[:10])
    made = "; ".join(part for part in parts if part)
    return made + (f". Made by: {measurement.command}" if measurement.command else "")


def words_html(one: Told, *, heading: str = "h3") -> str:
    """Mark, what the paper shows, caution; of a figure without measurement also the reason."""
    row = one.row
    parts = [
        f'<{heading} id="{row.key}">{_text(row.item)}: {_text(row.title)}</{heading}>',
        f"<p>{mark_html(one)}</p>",
        f"<p>{_text(row.shows)}</p>",
    ]
    if row.caution:
        parts.append(f"<p>{_text(row.caution)}</p>")
    if one.problem:
        parts.append(f"<p>{_text(one.problem)}</p>")
    if not one.ours and not one.problem:
        parts.append(f"<p>Not attempted. {_text(one.reason)}</p>")
        parts.append(table_html(one.lines, row.title))
    return "".join(parts)


def ours_html(row: Figure, ours: Ours) -> str:
    """Of one measurement: what differs, the two sentences, the table, the conditions."""
    differs = f'<p class="rp-mute">Smaller or other: {_text("; ".join(ours.differs))}.</p>'
    return "".join(
        [
            f"<p><b>{HOLDS[ours.verdict.holds].capitalize()}.</b> {_text(ours.verdict.says)} "
            f"{_text(_capital(ours.verdict.sure))}</p>",
            differs if ours.differs else "",
            table_html(ours.lines, _of_data(row.title, ours.measurement.data)),
            f'<p class="rp-mute">{_text(conditions(ours.measurement))}</p>',
        ]
    )


def mark_html(one: Told) -> str:
    """The mark, and whether the paper's claim holds, as two labels."""
    mark = f'<span class="rp-mark rp-{one.mark.split()[0]}">{MARKS[one.mark]}</span>'
    if one.verdict is None:
        return mark
    holds = one.verdict.holds
    return f'{mark}<span class="rp-mark rp-{holds}">{HOLDS[holds]}</span>'


def table_html(lines: Sequence[Line], title: str) -> str:
    if not lines:
        return ""
    others = any(line.others for line in lines)
    head = ["", "paper", "ours", *(["others report"] if others else [])]
    body = [
        [line.what, line.paper, line.ours, *([line.others or "–"] if others else [])]
        for line in lines
    ]
    cells = "".join(f'<th scope="col">{name or "what"}</th>' for name in head)
    rows = "".join(
        "<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in body
    )
    label = escape(f"Paper and ours: {title}")
    return (
        f'<div class="rp-wide" tabindex="0" role="region" aria-label="{label}"><table>'
        f"<caption>{label}</caption><thead><tr>{cells}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def counts(all_told: Sequence[Told]) -> str:
    """ "12 reproduced (same protocol), 20 reproduced smaller, 9 not attempted"."""
    marks = [one.mark for one in all_told]
    return ", ".join(f"{marks.count(mark)} {words}" for mark, words in MARKS.items())


def _of_data(title: str, data: str) -> str:
    """A figure's title with the images' name: it may have been measured on several."""
    return f"{title} ({DATASETS[data].title})" if data in DATASETS else title


def _capital(text: str) -> str:
    return text if text.startswith("n =") else text[:1].upper() + text[1:]


def _text(text: str) -> str:
    return escape(typeset(text))
