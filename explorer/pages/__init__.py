"""The pages, a folder each; ``main.py`` is what Streamlit runs, ``server`` what stands around it.

Streamlit takes a folder ``pages`` beside its main script for a navigation of its own; this one
holds the main script itself.
"""
