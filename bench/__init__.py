"""Benchmarks: throughput against peers, latency, growth. They belong to a checkout, not to the installed package."""
