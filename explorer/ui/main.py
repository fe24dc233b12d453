"""The script that Streamlit runs for every visitor: navigation, nothing else."""

import streamlit as st

from explorer.ui.screens import compare, instruments, net, runs, timing
from explorer.ui.style import apply_style, wordmark

st.set_page_config(page_title="Skipscope", page_icon="🔭", layout="wide")
apply_style()
st.logo(wordmark(), size="large")
pages = {
    "compare": st.Page(compare.page, title="Compare", url_path="compare", default=True),
    "instruments": st.Page(instruments.page, title="Instruments", url_path="instruments"),
    "net": st.Page(net.page, title="Net", url_path="net"),
    "timing": st.Page(timing.page, title="Timing", url_path="timing"),
    "runs": st.Page(runs.page, title="Runs", url_path="runs"),
}
st.session_state["pages"] = pages  # for links from page to page
st.navigation(list(pages.values()), position="top").run()
