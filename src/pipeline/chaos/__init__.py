"""Faults under load on a stack of its own, then every check: `pipeline chaos`."""
