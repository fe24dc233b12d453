"""What is said of an option at every door: its help, its range."""

from __future__ import annotations

from explorer.instruments.contract import Option


def words(option: Option) -> str:
    """An option's help with its range, as a sentence or two."""
    text = option.help or option.told.label
    text = text[0].upper() + text[1:].rstrip(".")
    allowed = bounds(option)
    return f"{text}{f' ({allowed})' if allowed else ''}."


def bounds(option: Option) -> str:
    """ "1 to 100", "above 0, to 1", "at least 1"; empty where anything is allowed."""
    low, high = option.least, option.most
    if option.above is not None:
        return f"above {option.above:g}" + ("" if high is None else f", to {_number(high)}")
    if low is not None and high is not None:
        return f"{_number(low)} to {_number(high)}"
    if low is not None:
        return f"at least {_number(low)}"
    return "" if high is None else f"at most {_number(high)}"


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else f"{value:g}"
