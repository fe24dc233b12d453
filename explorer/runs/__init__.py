"""Trainings and measurements: kept in a store, computed by worker processes, shown by a service.

The server imports :mod:`explorer.runs.service`, which holds no torch; only the worker's modules
(``worker``, ``trainer``, ``jobs``) do. Where an instrument finds its net, and what can be asked of
it, is told in :mod:`explorer.runs.requests`; what workers and service say to each other, in
:mod:`explorer.runs.protocol`.
"""
