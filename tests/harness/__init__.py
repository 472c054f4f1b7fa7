"""What acceptance tests, benchmarks and faults share: Kafka, the chain's processes, clients and a judge of what they got."""
