"""What lies in a topic, for people: its newest records decoded, its schemas, its settings and who reads it.

It reads only, joins no group and commits nothing. It takes any bytes: what cannot be decoded is shown as it is, with
the reason. `decode.py` makes values of bytes, `scan.py` finds records, `facts.py` asks for everything else.
"""

MOST_LOOKED_AT = 100_000
"""Records that are looked at for one answer, unless told otherwise."""
