"""Gradient magnitude by layer (He15 §4.1; SGS15 §1)."""
