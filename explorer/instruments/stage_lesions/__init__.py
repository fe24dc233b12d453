"""Accuracy without all the blocks of a stage."""
