"""The measurements that bear claims, one file a topic; only :mod:`explorer.claims.check` loads
them. Each function gives a number, or one for each net or seed, and keeps nothing of the sentence
that it bears."""
