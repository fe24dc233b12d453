"""Each unit's output against the end of its stage (Greff17)."""
