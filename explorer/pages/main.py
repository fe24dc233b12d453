"""The script that Streamlit runs for every visitor: navigation, nothing else."""

import streamlit as st

from explorer.pages.compare import page as compare
from explorer.pages.instruments import page as instruments
from explorer.pages.net import page as net
from explorer.pages.papers import page as papers
from explorer.pages.runs import page as runs
from explorer.pages.server.visitors import get_service
from explorer.pages.shared.escape import note
from explorer.pages.shared.style import apply_style, wordmark
from explorer.pages.shared.words import PAGES
from explorer.pages.sweep import page as sweep
from explorer.pages.timing import page as timing

st.set_page_config(page_title="Skipscope", page_icon="🔭", layout="wide")
apply_style()
st.logo(wordmark(), size="large")
screens = {
    "compare": compare,
    "instruments": instruments,
    "net": net,
    "sweep": sweep,
    "papers": papers,
    "timing": timing,
    "runs": runs,
}
pages = {
    name: st.Page(screens[name].page, title=title, url_path=name, default=name == "compare")
    for name, title in PAGES.items()
}
st.session_state["pages"] = pages  # for links from page to page
page = st.navigation(list(pages.values()), position="top")
notice = get_service().notice
if notice:  # what is wrong with the store concerns whoever trains, measures or looks
    note(notice)
page.run()
