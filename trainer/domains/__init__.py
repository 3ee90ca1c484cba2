"""Training data: the paper's five domains and the user's own, in one form."""
