"""The options of every command, with examples; building them imports nothing heavy."""
