"""Gates unit by unit: biases, means, one image, one class (SGS15 Fig 2 and 3)."""
