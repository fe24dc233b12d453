"""Which units carried a decision (Dhamdhere et al. 2018)."""
