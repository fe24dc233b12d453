"""The pages. Not named ``pages``: Streamlit would take such a folder for its own navigation."""
