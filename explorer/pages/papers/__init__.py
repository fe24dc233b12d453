"""Papers: each figure and table of the papers beside what was measured here."""
