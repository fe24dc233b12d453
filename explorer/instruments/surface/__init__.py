"""The loss around the weights, along filter-normalised random directions (Li18)."""
