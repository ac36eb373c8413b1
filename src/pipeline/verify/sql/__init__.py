"""`pipeline verify` by SQL: source topics become tables of DuckDB, and the application's `oracle.sql` is run over them.

A language, an engine and a way of thinking that share nothing with the operators. DuckDB and pyarrow are imported here
only, when something is verified: no worker waits for them.
"""
