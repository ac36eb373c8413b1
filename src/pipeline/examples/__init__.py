"""Topologies to start from."""
