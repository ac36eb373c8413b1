"""Declarations: streams, tables and what is made of them, as values that check themselves when they are built."""
