"""Signal and gradient from the image to the last block."""
