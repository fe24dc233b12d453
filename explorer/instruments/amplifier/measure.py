"""The worked example of a small change. Cost: none, it is arithmetic."""

from __future__ import annotations

from explorer.instruments.amplifier.ask import Ask
from explorer.instruments.amplifier.result import WorkedExample
from explorer.instruments.contract import Job


def measure(ask: Ask, job: Job) -> WorkedExample:
    """By which share of itself a plain map's output changes, and by which F does."""
    return WorkedExample(x=ask.x, before=ask.before, after=ask.after)
