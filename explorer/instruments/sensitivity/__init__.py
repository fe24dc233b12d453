"""How much larger a unit's output is than its F, and how F answers to a moved input."""
