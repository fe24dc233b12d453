"""Sweeps: one recipe over nets, depths and seeds, one process a core (or GPU)."""
