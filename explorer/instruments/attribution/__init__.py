"""Which pixels carried a decision (Captum)."""
