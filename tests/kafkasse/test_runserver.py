"""How the server of `manage.py runserver` sends an answer."""

import io
from types import SimpleNamespace
from wsgiref.util import setup_testing_defaults

import pytest

from kafkasse.management.commands.runserver import Handler


class Connection(io.BytesIO):
    """A connection that takes note of what it is given at a time."""

    def __init__(self):
        super().__init__()
        self.pieces = []

    def write(self, data):
        """Take a piece."""
        self.pieces.append(bytes(data))
        return len(data)


def sent(*body, method="GET"):
    """Return the pieces in which an answer with the parts of `body` is sent."""
    environ = {"REQUEST_METHOD": method}
    setup_testing_defaults(environ)
    environ["SERVER_PROTOCOL"] = "HTTP/1.1"
    connection = Connection()
    handler = Handler(io.BytesIO(), connection, io.StringIO(), environ)
    handler.request_handler = SimpleNamespace(
        close_connection=False, server=None, log_request=lambda *_: None
    )

    def application(_environ, start_response):
        start_response(
            "200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(sum(map(len, body))))]
        )
        return list(body)

    handler.run(application)
    assert handler.request_handler.close_connection
    return [piece for piece in connection.pieces if piece]


@pytest.mark.parametrize("size", [1, 1_000_000])
def test_answer_is_sent_in_one_piece(size):
    """Pushpin takes headers with a part of their body for the whole, when this process is killed between the two."""
    (piece,) = sent(size * b"x")
    assert piece.startswith(b"HTTP/1.1 200 OK\r\n")
    assert piece.endswith(b"\r\n\r\n" + size * b"x")
    assert b"Connection: close\r\n" in piece


@pytest.mark.parametrize("body", [(), (b"",)])
def test_answer_without_a_body_is_sent(body):
    """Its headers are all of it."""
    (piece,) = sent(*body)
    assert piece.endswith(b"\r\n\r\n")


def test_stream_is_sent_piece_by_piece():
    """What is there is not kept back for what is to come."""
    first, second = sent(b"one", b"two")
    assert first.endswith(b"\r\n\r\none")
    assert second == b"two"


def test_answer_to_head_has_no_body():
    """Django's handler leaves it out."""
    answer = b"".join(sent(b"one", method="HEAD"))
    assert answer.count(b"HTTP/1.1") == 1
    assert answer.endswith(b"\r\n\r\n")
