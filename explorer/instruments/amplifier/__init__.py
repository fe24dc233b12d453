"""The worked example: the same change for a plain map and for F, as arithmetic."""
