"""The Django project that ties the web side (`kafkasse`) and the Kafka side (`relay`) together."""
