"""Numbers and lists as people write them. Nothing is imported: a command's help needs it, too."""

from __future__ import annotations

import re
from collections.abc import Sequence

_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def percent(share: float, digits: int = 1) -> str:
    """ "98.6 %" of a share in [0, 1]."""
    return f"{share * 100:.{digits}f} %"


def count(n: int, one: str, many: str | None = None) -> str:
    """ "1 block", "3 blocks", "1,000 images"."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def listed(names: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    if len(names) < 2:
        return "".join(names)
    return ", ".join(names[:-1]) + " and " + names[-1]


def times(ratio: float) -> str:
    """A ratio as people say it: "1,790 ×", "2.4 ×", "1/35", "1.7·10⁶ ×"; few digits are known."""
    if not 1e-6 < ratio < 1e6:
        return f"{typeset(f'{ratio:.1e}')} ×"
    if ratio >= 1:
        return f"{float(f'{ratio:.3g}'):,.0f} ×" if ratio >= 100 else f"{ratio:.2g} ×"
    return f"1/{float(f'{1 / ratio:.3g}'):,.0f}" if ratio < 0.1 else f"{ratio:.2g} ×"


_POWER = re.compile(r"(?<![\w.])(\d(?:\.\d+)?)e([+-]\d+)")
_MINUS = re.compile(r"(?<![\w.)])-(?=\d)")
_TOGETHER = re.compile(r"(?<=\d) (?=[%×])|(?<=×) (?=\d)")


def typeset(text: str) -> str:
    """A sentence as it is printed: 4.7·10⁻⁷ for 4.7e-07, −2 for -2, no line break before a %."""
    text = _POWER.sub(lambda found: _written_out(found[1], int(found[2])), text)
    return _TOGETHER.sub("\u00a0", _MINUS.sub("−", text))


def _written_out(digits: str, power: int) -> str:
    """ "8,970" for ("8.97", 3); "9.41·10⁶" for ("9.41", 6); "10⁻⁵" for ("1", −5)."""
    if 0 <= power < 6:
        return f"{float(digits) * 10**power:,.0f}"
    raised = f"10{str(power).translate(_RAISED)}"
    return raised if digits == "1" else f"{digits}·{raised}"
