"""`pipeline verify`: every output recomputed from the source topics by brute force, and compared.

Nothing here uses the operators, the agents or the workers' state: only the wire format is shared.
"""
