"""The daemon: takes trials, keeps their leases, trains in child processes, delivers results."""
