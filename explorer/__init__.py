"""Skipscope: see why very deep networks train or fail."""
