"""Net: one net's block graph in full, what differs from another, its code."""
