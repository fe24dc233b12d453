"""What rows of several papers share: printed errors, counted numbers, figures drawn when needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from explorer.reproduce import compare as c
from explorer.reproduce.contract import Figure, Line, Measurement, Number, Verdict
from explorer.structure.names import NETS

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from explorer.instruments.contract import Style

OTHER_RECIPE = "one-cycle rate and clipped gradients, not the paper's recipe"


def paper_error(net: str, of: str | None = None) -> str:
    """What the papers print for a net: "6.43 % (best of 5), 6.61 % (mean of 5)".

    Args:
        of: Only this statistic, where there is one: He16's numbers are medians.
    """
    said = []
    errors = [error for error in NETS[net].errors if of in (None, error.of)]
    for error in errors or NETS[net].errors:
        shown = "fails (above 20 %)" if error.percent is None else f"{error.percent:.2f} %"
        words = f"{shown} ({error.protocol})" if error.protocol else shown
        if of is not None or not error.source.startswith("He16"):  # of He15's own net
            said.append(words)
    return ", ".join(said) or "–"


def counted_lines(row: Figure, m: Measurement | None) -> list[Line]:
    """The paper's numbers beside what was counted, name by name."""
    return [
        Line(
            name,
            str(number),
            "–" if m is None else _shown(m.numbers[name], number.unit),
        )
        for name, number in row.numbers.items()
    ]


def _shown(value: Any, unit: str) -> str:
    return (
        value
        if isinstance(value, str)
        else f"{value:,.6g} {unit}".strip()
        if value % 1
        else f"{value:,.0f} {unit}".strip()
    )


def counted(row: Figure, m: Measurement) -> Verdict:
    """Whether all are equal to the digits that the paper prints."""
    off = [name for name, number in row.numbers.items() if not _equal(number, m.numbers[name])]
    n = len(row.numbers)
    told = "the number is" if n == 1 else f"all {n} numbers are" if not off else ""
    right = (
        f"Counted here, {told} the paper's."
        if not off
        else (
            f"Counted here, {n - len(off)} of {n} numbers are the paper's; others: {c.listed(off)}."
        )
    )
    return Verdict(
        "no" if off else "yes",
        right,
        "Nothing is drawn at random here, so there is no interval.",
    )


def _equal(number: Number, ours: Any) -> bool:
    """To the digits that are printed; of what is printed in words alone, these."""
    if number.value is None:
        return str(ours) == number.words
    return bool(abs(ours - number.value) <= 0.5000001 * 10 ** -_decimals(number.value))


def _decimals(value: float) -> int:
    return len(f"{value:.10g}".partition(".")[2])


def by(name: str) -> Callable[[Figure, Measurement, Style], go.Figure]:
    """How a row is drawn: ``instrument``, ``ends``, ``counted``, or a curve's name.

    Plotly is imported when it draws.
    """

    def draw(row: Figure, m: Measurement, style: Style) -> go.Figure:
        from explorer.reproduce import drawing

        match name:
            case "instrument":
                return drawing.by_instrument(row, m, style)
            case "ends":
                return drawing.ends(m, style)
            case "loss":
                return drawing.ends(m, style, "loss")
            case "counted":
                return drawing.counted(row, m, style)
            case _:
                return drawing.curves(m, style, name)

    return draw
