"""A publish endpoint that notes what a relay sends, in the place of a proxy."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class Sink:
    """Takes every publish; while `closed` is set, it keeps them waiting for their answer."""

    def __init__(self) -> None:
        """Listen; nothing is answered before `with`."""
        self.items: list[dict[str, Any]] = []
        self._open = threading.Event()
        self._open.set()
        self.waiting = threading.Semaphore(0)
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                sink.waiting.release()
                sink._open.wait()
                sink.items += body["items"]
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def hang(self) -> None:
        """Keep all publishes from now on waiting."""
        self._open.clear()

    def go_on(self) -> None:
        """Answer them."""
        self._open.set()

    def channels(self) -> set[str]:
        """Return the channels that were published to."""
        return {item["channel"] for item in list(self.items)}

    def contents(self, topic: str) -> str:
        """Return all content that was published for a topic."""
        mine = [item for item in list(self.items) if item["channel"].startswith(f"{topic}:")]
        return "".join(item["formats"].get("http-stream", {}).get("content", "") for item in mine)

    def __enter__(self) -> Self:
        """Serve."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._open.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
