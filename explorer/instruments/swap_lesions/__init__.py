"""Accuracy with every two blocks of one shape swapped."""
