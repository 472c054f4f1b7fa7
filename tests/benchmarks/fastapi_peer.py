"""What is written in Python where there is no proxy: FastAPI, sse-starlette and aiokafka.

One consumer reads all topics, and puts each record into a queue of each client of its topic:

    python -m tests.benchmarks.fastapi_peer PORT BOOTSTRAP TOPIC...
"""

import asyncio
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from aiokafka import AIOKafkaConsumer
from fastapi import FastAPI
from sse_starlette import EventSourceResponse, ServerSentEvent

Queues = defaultdict[str, set[asyncio.Queue[ServerSentEvent]]]


async def deliver(consumer: AIOKafkaConsumer, queues: Queues) -> None:
    """Hand each record to the clients of its topic, for ever."""
    async for record in consumer:
        event = ServerSentEvent(
            (record.value or b"").decode(), event="message", id=f"{record.partition}-{record.offset}"
        )
        for queue in queues[record.topic]:
            queue.put_nowait(event)


def application(bootstrap: str, topics: list[str]) -> FastAPI:
    """Return the application."""
    queues: Queues = defaultdict(set)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        consumer = AIOKafkaConsumer(*topics, bootstrap_servers=bootstrap, enable_auto_commit=False)
        await consumer.start()
        task = asyncio.create_task(deliver(consumer, queues))
        yield
        task.cancel()
        await consumer.stop()

    app = FastAPI(lifespan=lifespan)

    @app.get("/events/{topic}/")
    async def events(topic: str) -> EventSourceResponse:
        async def stream() -> AsyncIterator[ServerSentEvent]:
            queue: asyncio.Queue[ServerSentEvent] = asyncio.Queue()
            queues[topic].add(queue)
            try:
                while True:
                    yield await queue.get()
            finally:
                queues[topic].discard(queue)

        return EventSourceResponse(stream(), sep="\n")

    return app


def main() -> None:
    """Serve."""
    port, bootstrap, *topics = sys.argv[1:]
    uvicorn.run(
        application(bootstrap, topics), host="127.0.0.1", port=int(port), log_level="warning", backlog=4096
    )


if __name__ == "__main__":
    main()
