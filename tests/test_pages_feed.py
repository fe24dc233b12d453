"""Answers that viewers of one training share."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from explorer.pages.compare.feed import _Answers, _Texts


def saying(text: str) -> Callable[[], str]:
    return lambda: text


def test_who_asks_within_moments_is_given_the_same_answer() -> None:
    answers = _Answers()
    assert answers.answer(("a",), "1", 60, saying("one")).text == "one"
    assert answers.answer(("a",), "2", 60, saying("two")).text == "one"
    assert answers.answer(("b",), "2", 60, saying("other question")).text == "other question"
    now = answers.answer(("a",), "2", 0, saying("two"))  # it must be the present one
    assert (now.version, now.text) == ("2", "two")


def test_while_an_answer_is_built_the_one_before_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("explorer.pages.compare.feed.PATIENCE", 0.01)
    now = [0.0]
    monkeypatch.setattr("explorer.pages.compare.feed.time.monotonic", lambda: now[0])
    answers = _Answers()
    may_end = threading.Event()
    answers.answer(("a",), "2", 1, saying("two"))
    now[0] = 2.0  # too old to be given again, young enough to be given while one is built

    def slow() -> str:
        assert may_end.wait(30)
        return "three"

    assert answers.answer(("a",), "3", 1, slow).text == "two"
    may_end.set()
    assert answers.answer(("a",), "3", 0, saying("not asked again")).text == "three"


def test_one_that_cannot_be_built_is_asked_for_again() -> None:
    answers = _Answers()

    def fails() -> str:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        answers.answer(("a",), "1", 1, fails)
    assert answers.answer(("a",), "1", 1, saying("one")).text == "one"


def test_only_the_latest_questions_are_kept() -> None:
    answers = _Answers(kept=2)
    for name in ("a", "b", "c"):
        answers.answer((name,), "1", 60, saying(name))
    assert answers.answer(("a",), "1", 60, saying("anew")).text == "anew"
    assert answers.answer(("c",), "1", 60, saying("anew")).text == "c"


def test_nobody_waits_for_anothers_figure() -> None:
    texts, free = _Texts(), threading.Event()
    slow = threading.Thread(target=texts.text, args=(("slow",), lambda: str(free.wait(30))))
    slow.start()
    waiting: list[str] = []
    second = threading.Thread(target=lambda: waiting.append(texts.text(("slow",), lambda: "twice")))
    second.start()
    assert texts.text(("quick",), lambda: "at once") == "at once"
    assert slow.is_alive()
    free.set()
    slow.join(30)
    second.join(30)
    assert waiting == ["True"]  # built once
    with pytest.raises(ZeroDivisionError):
        texts.text(("broken",), lambda: str(1 / 0))
    assert texts.text(("broken",), lambda: "mended") == "mended"
