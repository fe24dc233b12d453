"""Gradients of fresh nets against depth (He15 §4.1)."""
