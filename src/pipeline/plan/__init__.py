"""Plans: what an application becomes: topics, tables of state, and what each agent does with its topic's rows."""
