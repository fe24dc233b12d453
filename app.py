"""Skipscope in the browser: ``streamlit run app.py``, or ``skipscope app``."""

import streamlit as st

from explorer.pages.server.routes import lifespan, middleware, on_script_error, open_home, routes

open_home()

app = st.App(
    "explorer/pages/main.py",
    lifespan=lifespan,
    routes=routes(),
    middleware=middleware(),
    on_script_error=on_script_error,
)
