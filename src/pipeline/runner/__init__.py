"""`pipeline test-runner`: the application's own agents in one process, without a broker, on golden cases."""
