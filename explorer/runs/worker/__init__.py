"""The processes that compute: ``python -m explorer.runs.worker.main``."""
