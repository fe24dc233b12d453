"""Shattered gradients of nets of one number, at initialisation (Balduzzi17)."""
