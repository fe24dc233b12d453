"""Which earlier features a dense layer uses (Huang16 Fig 5)."""
