"""Skipscope in the browser: ``streamlit run app.py``, or ``skipscope app``."""

import streamlit as st

from explorer.ui.server import lifespan, routes

app = st.App("explorer/ui/main.py", lifespan=lifespan, routes=routes())
