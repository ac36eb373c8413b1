"""Declarations: streams, tables and what is made of them, as values that check themselves when they are built.

`Stream`, `Table` and `Grouped`, with their methods, are in fluent.py; below it are, each on those after it: groups.py,
statements.py, streams.py, joins.py, tables.py, relations.py, steps.py.
"""
