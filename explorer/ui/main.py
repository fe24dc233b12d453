"""The script that Streamlit runs for every visitor: navigation, nothing else."""

import streamlit as st

from explorer.ui.screens import compare, instruments, net, runs, sweep, timing
from explorer.ui.style import apply_style, wordmark
from explorer.ui.words import PAGES

st.set_page_config(page_title="Skipscope", page_icon="🔭", layout="wide")
apply_style()
st.logo(wordmark(), size="large")
screens = {
    "compare": compare,
    "instruments": instruments,
    "net": net,
    "sweep": sweep,
    "timing": timing,
    "runs": runs,
}
pages = {
    name: st.Page(screens[name].page, title=title, url_path=name, default=name == "compare")
    for name, title in PAGES.items()
}
st.session_state["pages"] = pages  # for links from page to page
st.navigation(list(pages.values()), position="top").run()
