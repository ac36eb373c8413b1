"""The local cluster: real Kafka, registry, MariaDB and Pinot, without Docker and without root."""
