"""Results to and from JSON, by their annotations alone.

An array becomes nested lists, with null for what is not a finite number; a picture (uint8) a PNG;
a tuple a list; a dataclass inside another an object. ``together`` of a result names lists of
objects in its JSON, so that a table's rows stay together there.
"""

from __future__ import annotations

import types
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import numpy as np

from explorer.errors import NotApplicableError
from explorer.results.png import from_png, to_png

T = TypeVar("T")


def to_json(value: Any, *, partial: bool = False) -> dict[str, Any]:
    """The fields of a dataclass as plain JSON values.

    Args:
        partial: Leaves out what the class says in ``left_out``.
    """
    kind = type(value)
    left_out = getattr(kind, "left_out", ()) if partial else ()
    together = getattr(kind, "together", {})
    decimals = getattr(kind, "decimals", {})
    apart = {name for group in together.values() for name in group.values()}

    def plain_of(name: str) -> Any:
        found = getattr(value, name)
        found = found() if callable(found) else found
        return _plain(_rounded(found, decimals[name]) if name in decimals else found, partial)

    plain: dict[str, Any] = {}
    for one in fields(kind):
        for key, group in together.items():
            if one.name == next(iter(group.values())):
                there = {k: plain_of(name) for k, name in group.items()}
                columns = {k: column for k, column in there.items() if column is not None}
                plain[key] = [
                    dict(zip(columns, row, strict=True))
                    for row in zip(*columns.values(), strict=True)
                ]
        if one.name not in apart and one.name not in left_out:
            plain[one.name] = plain_of(one.name)
    plain.update({name: plain_of(name) for name in getattr(kind, "also", ())})
    return plain


def from_json(kind: type[T], value: Any) -> T:
    """An instance of a dataclass.

    Raises:
        NotApplicableError: One sentence: the value is not of this kind.
    """
    if not isinstance(value, dict):
        raise NotApplicableError(f"A stored {kind.__name__} is an object, not {str(value)[:40]!r}.")
    hints = _hints(cast(Any, kind))
    together = getattr(kind, "together", {})
    found = dict(value)
    try:
        for key, group in together.items():
            if key not in value:
                continue
            rows = found.pop(key) or []
            for name, one in group.items():
                if not rows or any(name in row for row in rows):
                    found[one] = [row[name] for row in rows]
        given = {
            one.name: _back(hints[one.name], found[one.name])
            for one in fields(kind)  # type: ignore[arg-type]
            if one.name in found
        }
        return kind(**given)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NotApplicableError(
            f"What is stored is no {kind.__name__} of this version ({error}): measure it again."
        ) from None


@cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    return get_type_hints(kind)


def _rounded(value: Any, decimals: int) -> Any:
    if isinstance(value, tuple):
        return tuple(_rounded(part, decimals) for part in value)
    return np.round(value, decimals)


def _plain(value: Any, partial: bool) -> Any:
    if isinstance(value, np.ndarray):
        if value.dtype == np.uint8:
            return to_png(value)
        if value.dtype.kind != "f":
            return value.tolist()
        boxed = value.astype(object)
        boxed[~np.isfinite(value)] = None
        return boxed.tolist()
    if isinstance(value, (np.floating, float)):
        return float(value) if np.isfinite(value) else None
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, np.bool_):
        return bool(value)
    if is_dataclass(value) and not isinstance(value, type):
        return to_json(value, partial=partial)
    if isinstance(value, dict):
        return {key: _plain(inner, partial) for key, inner in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(inner, partial) for inner in value]
    return value


def _back(hint: Any, value: Any) -> Any:
    """A plain value as what the annotation says."""
    origin = get_origin(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        return _of_union(get_args(hint), value)
    if origin is Literal:
        if value not in get_args(hint):
            raise ValueError(
                f"{str(value)[:40]!r} is none of {', '.join(map(str, get_args(hint)))}"
            )
        return value
    if origin is tuple:
        inner = get_args(hint)
        if len(inner) == 2 and inner[1] is Ellipsis:
            return tuple(_back(inner[0], part) for part in value)
        return tuple(_back(one, part) for one, part in zip(inner, value, strict=True))
    if origin is dict:
        return {key: _back(get_args(hint)[1], part) for key, part in value.items()}
    if origin is np.ndarray:
        return _array(hint, value)
    if is_dataclass(hint):
        upgraded = getattr(hint, "upgraded", None)
        return from_json(hint, value if upgraded is None else upgraded(value))  # type: ignore[arg-type]
    if hint is float:
        return float("nan") if value is None else float(value)
    if hint in (int, str, bool):
        if value is None or isinstance(value, (dict, list)):
            raise ValueError(f"{str(value)[:40]!r} is no {hint.__name__}")
        return hint(value)
    raise TypeError(f"the codec knows no {hint!r}")


def _of_union(kinds: tuple[Any, ...], value: Any) -> Any:
    if value is None and type(None) in kinds:
        return None
    for kind in kinds:
        if kind is type(None):
            continue
        # A text is never taken for a number, nor the other way round.
        fits = (int, float) if kind is float else kind
        if kind in (int, float, str, bool) and not isinstance(value, fits):
            continue
        try:
            return _back(kind, value)
        except (KeyError, TypeError, ValueError, NotApplicableError):
            continue
    raise ValueError(f"{str(value)[:40]!r} is none of {kinds}")


def _array(hint: Any, value: Any) -> Any:
    """``NDArray[np.float64]``: null becomes NaN."""
    kind = get_args(get_args(hint)[1])[0]
    if kind is np.uint8:
        return from_png(value)
    if issubclass(kind, np.floating):
        return np.asarray(value, dtype=object).astype(float).astype(kind)
    return np.asarray(value, dtype=kind)
