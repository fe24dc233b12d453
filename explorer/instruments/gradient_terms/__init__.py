"""The gradient's direct and residual term (He16 Eq 5)."""
