"""From a study's state to its queued trials, and the upkeep that goes on beside."""
