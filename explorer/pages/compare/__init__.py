"""Compare: up to four nets side by side; train them, delete their blocks, look at the inside."""
