"""Sentences with words that a person or a link brought: shown as they are, never as markup."""

from __future__ import annotations

import re

import streamlit as st


def plain(text: str) -> str:
    """The text with every sign escaped that Markdown would act on: no links, images or styles."""
    # A bare address would become a link in spite of every escape: an invisible sign breaks it.
    text = re.sub(r"(?i)\b(https?|ftp|www|mailto)(?=[:.])", "\\1\u200b", text)
    escaped = re.sub(r"([\\`*_{}\[\]()<>#+\-.!|~$:@&])", r"\\\1", text)
    return escaped.replace("\n", " ")


def warn(sentence: str) -> None:
    """A warning on the page."""
    st.warning(plain(sentence))


def note(sentence: str) -> None:
    """A remark on the page."""
    st.info(plain(sentence))
