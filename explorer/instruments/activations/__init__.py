"""What the maps of units look like for one image."""
