"""The Kafka side: reads every topic and republishes its records to the GRIP proxy."""
