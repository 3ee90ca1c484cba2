"""The paper's seven benchmarks."""
