"""The address's newest word counts, also for a request that was sent before it was heard."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from explorer.pages.shared import address


def _script() -> None:
    import streamlit as st

    from explorer.pages.shared import address

    st.text(str(sorted(address.present().items())))
    st.button("a", on_click=lambda: address.change(a="1"))
    st.button("b", on_click=lambda: address.change(b="1"))
    st.button("not a", on_click=lambda: address.change(a=None))


def _shown(app: AppTest) -> str:
    return app.text[0].value


def _press(app: AppTest, label: str) -> None:
    next(button for button in app.button if button.label == label).click().run()


@pytest.fixture
def app() -> AppTest:
    return AppTest.from_function(_script).run()


def test_a_click_with_the_older_address_adds_to_the_click_before_it(app: AppTest) -> None:
    _press(app, "a")
    app.query_params.clear()  # sent before the browser heard of the first
    _press(app, "b")
    assert _shown(app) == "[('a', '1'), ('b', '1')]"
    assert app.query_params == {"a": "1", "b": "1"}


def test_a_page_drawn_for_an_older_address_is_that_of_the_newest(app: AppTest) -> None:
    _press(app, "a")
    app.query_params.clear()
    app.run()
    assert _shown(app) == "[('a', '1')]"


def test_what_was_changed_there_and_back_is_back(app: AppTest) -> None:
    _press(app, "a")
    _press(app, "not a")
    assert _shown(app) == "[]"
    app.query_params["a"] = "1"  # late
    app.run()
    assert _shown(app) == "[]"


def test_an_address_of_the_persons_own_counts(app: AppTest) -> None:
    _press(app, "a")
    app.query_params["c"] = "2"
    app.run()
    assert _shown(app) == "[('a', '1'), ('c', '2')]"
    app.query_params.clear()  # nothing is remembered of before: gone to by hand
    app.run()
    assert _shown(app) == "[]"


def test_going_back_with_the_browsers_button_goes_back(
    app: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    _press(app, "a")
    page, _ = address._request()
    monkeypatch.setattr(address, "_request", lambda: (page, True))
    app.query_params.clear()
    app.run()
    assert _shown(app) == "[]"
