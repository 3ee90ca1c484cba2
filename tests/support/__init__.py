"""What tests share: processes, services, databases, browsers."""

TRAINING_S = 300.0
"""Time-out of tests that train the real miniature in processes of their own: on a busy machine each
process may take a minute to import its libraries."""
