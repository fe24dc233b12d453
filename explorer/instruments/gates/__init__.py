"""Gates by unit: mean and spread (SGS15 Fig 2), of highway nets and of gated shortcuts."""
