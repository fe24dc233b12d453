"""What the figures' measurements compute; the only part of this room that imports torch."""
