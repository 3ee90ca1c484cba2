"""`modomodo fleet`: as many workers as there is work, started by an engine that runs machines."""
