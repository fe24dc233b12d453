"""The gradient with every shortcut λ·x (He16 Eq 8)."""
