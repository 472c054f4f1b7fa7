"""Commands that are not needed in production: a Kafka without Kafka, and something to watch."""
