"""Measurements: one command each, which writes its own table into docs/benchmarks.md."""
