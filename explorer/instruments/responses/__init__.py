"""How strongly each layer answers (He15 Fig 7)."""
