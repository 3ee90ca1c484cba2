"""Imported last by the server that runs are forked from.

What it has imported by then stays for good: the garbage collector of a run need not look through
it, which takes a quarter of a second each time, and does not make copies of memory that runs share.
"""

import gc

gc.collect()
gc.freeze()
