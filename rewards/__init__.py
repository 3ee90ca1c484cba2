"""Pure functions from a response to a score: training rewards and benchmark rules."""
