"""Pinot: the tables' declarations, their provisioning, and the one client for queries."""
