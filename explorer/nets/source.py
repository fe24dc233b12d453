"""Python source, laid out as ``ruff format`` lays it out at any line length of at least 88."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from itertools import pairwise

WIDTH = 88  # ruff's and black's own default


def laid_out(code: str) -> str:
    """The code with each line that is too long opened at its last brackets, one part a line."""
    return "\n".join(line for whole in code.splitlines() for line in _opened(whole))


def _opened(line: str) -> list[str]:
    if len(line) <= WIDTH:
        return [line]
    before, parts, after = _parts(line)
    space = " " * (len(line) - len(line.lstrip()) + 4)
    comma = "" if parts[-1].startswith("for ") else ","
    inner = [_opened(f"{space}{part}{comma}") for part in parts]
    if len(inner) == 1 and len(inner[0]) > 1:  # a comma would ask for one part a line
        inner[0][-1] = inner[0][-1].removesuffix(",")
    return [before, *(line for part in inner for line in part), space[4:] + after]


def _parts(line: str) -> tuple[str, list[str], str]:
    """What stands before, between and after the last outermost brackets."""
    depth, end = 0, len(line)
    cuts: list[int] = []
    for at, sign in enumerate(line):
        if sign in "([":
            depth += 1
            cuts = [at + 1] if depth == 1 else cuts
        elif sign in ")]":
            depth -= 1
            end = at if depth == 0 else end
        elif depth == 1 and (sign == "," or line.startswith(" for ", at)):
            cuts.append(at + 1)
    parts = [line[a:b].strip(" ,") for a, b in pairwise([*cuts, end])]
    return line[: cuts[0]], parts, line[end:]


def indented(lines: Iterable[str], by: int) -> str:
    return textwrap.indent("\n".join(lines), " " * by)


def docstring(text: str, indent: int = 0) -> str:
    """A docstring: the first paragraph is the summary; those that start indented are examples."""
    space = " " * indent
    summary, *paragraphs = text.strip().split("\n\n")
    if not paragraphs and indent + len(summary) + 6 <= WIDTH:
        return f'{space}"""{summary}"""'
    first, *more = textwrap.wrap(summary, WIDTH - indent - 3)
    written = [f'{space}"""{first}', *(space + line for line in more)]
    for paragraph in paragraphs:
        example = paragraph.startswith("    ")
        lines = paragraph.splitlines() if example else textwrap.wrap(paragraph, WIDTH - indent)
        written += ["", *(space + line for line in lines)]
    return "\n".join([*written, f'{space}"""'])
