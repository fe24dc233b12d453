"""Numbers, rows and words as they are written everywhere."""
