"""The programs that are measured: each is one process, configured by BENCH_* environment variables."""
