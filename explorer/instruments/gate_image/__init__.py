"""Where on one image the gates of a convolutional net are open."""
