"""The script that Streamlit runs for every visitor: navigation, nothing else."""

import streamlit as st

from explorer.ui.pages import compare, runs
from explorer.ui.style import apply_style, wordmark

st.set_page_config(page_title="Skipscope", page_icon="🔭", layout="wide")
apply_style()
st.logo(wordmark(), size="large")
pages = {
    "compare": st.Page(compare.page, title="Compare", url_path="compare", default=True),
    "runs": st.Page(runs.page, title="Runs", url_path="runs"),
}
st.session_state["pages"] = pages  # for links from page to page
st.navigation(list(pages.values()), position="top").run()
