"""Reflex's benchmarks. `python -m reflex_bench` measures the request path; docs/benchmarks.md says what it prints."""
