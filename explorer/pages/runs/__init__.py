"""Runs: everything that was trained here."""
