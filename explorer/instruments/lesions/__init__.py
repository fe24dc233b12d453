"""Accuracy after deleting each block (Veit16 Fig 3; SGS15 Fig 4)."""
