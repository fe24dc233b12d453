"""Why does it vanish? Activation, weight scale and padding apart, against depth."""
