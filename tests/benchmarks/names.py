"""What the chains that are compared are called."""

OURS = "this project"
PLAIN = "one item per record"
STOCK = "one item per record, stock Pushpin"
FASTAPI = "FastAPI, sse-starlette, aiokafka"
KAFKA_SSE = "KafkaSSE"
RAW = "librdkafka alone"
