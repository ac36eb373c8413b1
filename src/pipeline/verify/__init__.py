"""`pipeline verify`: what every output must hold, said in SQL by the application's `oracle.sql`, against what it holds.

Source topics become tables of DuckDB, and the script is run over them: a language, an engine and a way of thinking that
share nothing with the operators, the agents or the workers' state. Only the formats' code is shared. DuckDB and pyarrow
are imported when something is verified: no worker waits for them.
"""
