"""How often a net is right: its first answer, its first five, and class by class."""
