"""Storage: models, sessions, and the claim, lease and finish statements."""
