"""The HTTP service: stores trials, hands them out under leases, and proposes mixtures."""
