"""Trainings and measurements: kept in a store, computed by worker processes, shown by a service.

The server imports :mod:`explorer.runs.serve.service`, which holds no torch; only the processes that
compute do (``worker``, and ``sweeps.train_one``). Where an instrument finds its net, and what can
be asked of it, is told in :mod:`explorer.runs.serve.requests`; what workers and service say to each
other, in :mod:`explorer.runs.protocol`.
"""
