"""Accuracy with gates held at a value instead of looking at their input (SGS15; He16 §3.1)."""
