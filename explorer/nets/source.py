"""Python source, laid out as ``ruff format`` lays it out at any line length of at least 88."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass

WIDTH = 88  # ruff's and black's own default


@dataclass(frozen=True)
class Part:
    """An argument of a call or an element of a list.

    Attributes:
        keyword: Its name, for a keyword argument.
        comment: Stands on a line of its own above it.
    """

    code: Code
    keyword: str = ""
    comment: str = ""

    @property
    def before(self) -> str:
        return f"{self.keyword}=" if self.keyword else ""


@dataclass(frozen=True)
class Call:
    """``opening part, part closing``: on one line where that fits, else one part a line."""

    opening: str
    parts: tuple[Part, ...]
    closing: str = ")"


Code = str | Call


def call(function: str, *arguments: Code, **keywords: Code) -> Call:
    """``function(*arguments, **keywords)``."""
    parts = [Part(code) for code in arguments]
    parts += [Part(code, keyword) for keyword, code in keywords.items()]
    return Call(f"{function}(", tuple(parts))


def listed(parts: Iterable[Part]) -> Call:
    """``[part, part]``."""
    return Call("[", tuple(parts), "]")


def one_line(code: Code) -> str | None:
    """The code on one line; None where a comment stands inside."""
    if isinstance(code, str):
        return code
    inner: list[str] = []
    for part in code.parts:
        text = one_line(part.code)
        if text is None or part.comment:
            return None
        inner.append(part.before + text)
    return f"{code.opening}{', '.join(inner)}{code.closing}"


def lines(code: Code, indent: int = 0, before: str = "", after: str = "") -> list[str]:
    """``before``, the code, ``after``, from column ``indent`` on."""
    space = " " * indent
    whole = one_line(code)
    if isinstance(code, str) or (
        whole is not None and indent + len(before + whole + after) < WIDTH
    ):
        return [f"{space}{before}{whole}{after}"]
    written = [space + before + code.opening]
    for part in code.parts:
        if part.comment:
            written.append(f"{space}    # {part.comment}")
        inner = lines(part.code, indent + 4, part.before)
        # A comma at the end keeps one part a line, wherever the parts would fit on one.
        if len(code.parts) > 1 or len(inner) == 1:
            inner[-1] += ","
        written += inner
    return [*written, space + code.closing + after]


def docstring(summary: str, rest: str = "", indent: int = 0) -> list[str]:
    """A docstring: the summary on one line, then ``rest`` in paragraphs, wrapped."""
    space = " " * indent
    if not rest and indent + len(summary) + 6 <= WIDTH:
        return [f'{space}"""{summary}"""']
    first, *more = textwrap.wrap(summary, WIDTH - indent - 3)
    written = [f'{space}"""{first}', *(space + line for line in more)]
    for paragraph in rest.split("\n\n") if rest else ():
        written.append("")
        if paragraph.startswith("    "):  # an example
            written += [space + line for line in paragraph.splitlines()]
        else:
            written += [space + line for line in textwrap.wrap(paragraph, WIDTH - indent)]
    return [*written, f'{space}"""']
