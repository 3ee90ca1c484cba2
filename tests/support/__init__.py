"""What tests share: processes, services, databases, browsers."""

LONG_S = 180.0
"""Time-out of tests that take ten seconds or so on an idle machine, and of those that share what is
dear (`schedule.py`), of which the first does."""

TRAINING_S = 300.0
"""Time-out of tests that train the real miniature in processes of their own: on a busy machine each
process may take a minute to import its libraries."""
