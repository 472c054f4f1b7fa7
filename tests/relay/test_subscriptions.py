"""What the proxies tell of their subscriptions, over real ZeroMQ sockets on loopback."""

import socket
from contextlib import ExitStack

import pytest
import zmq

from relay.audience import Everybody
from relay.subscriptions import SETTLING, ProxySubscriptions, subscriptions
from tests.fakes import ManualClock
from tests.harness.ports import free_port, free_port_pair
from tests.harness.wait import until


class Proxy:
    """The SUB socket of a proxy's handler."""

    def __init__(self, port=None):
        """Choose a port, unless one is given; nothing listens yet."""
        self.port = port or free_port()
        self.address = f"tcp://127.0.0.1:{self.port}"
        self._context = zmq.Context()
        self._socket = None

    def start(self, *channels):
        """Listen, with subscriptions."""
        self._socket = self._context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.SNDHWM, 0)  # as Pushpin's handler has it
        # The port that a proxy leaves is free a moment later.
        until(self._bound, 5, "the port is free")
        self.subscribe(*channels)
        return self

    def _bound(self):
        try:
            self._socket.bind(self.address)
        except zmq.ZMQError:
            return False
        return True

    def subscribe(self, *channels):
        """Subscribe to channels."""
        for channel in channels:
            self._socket.subscribe(channel)

    def unsubscribe(self, channel):
        """Unsubscribe from a channel."""
        self._socket.unsubscribe(channel)

    def work(self):
        """Do what a handler's loop does: ZeroMQ tells a new peer the subscriptions from the thread that uses the socket."""
        if self._socket is not None:
            self._socket.poll(0)

    def stop(self):
        """End, as when the process ends."""
        self._socket.close()
        self._socket = None

    def close(self):
        """Clean up."""
        self._context.destroy(linger=0)


class Watcher:
    """The relay's side, with a clock of its own, and the proxies."""

    def __init__(self, *proxies):
        """Connect."""
        self.proxies, self.clock = proxies, ManualClock()
        self.subscriptions = ProxySubscriptions([proxy.address for proxy in proxies], self.clock)
        self.heard = []

    def look(self):
        """Take what has come; return the news so far."""
        for proxy in self.proxies:
            proxy.work()
        self.heard += sorted(self.subscriptions.news())
        return self.heard

    def hear(self, *channels):
        """Wait until all these are news."""
        until(
            lambda: {*self.look()} >= {*channels},
            10,
            lambda: f"{len(channels)} channels are news, {self.heard[:5]} ...",
        )

    def wait_for(self, condition, what):
        """Wait until a condition holds after a look."""
        until(lambda: (self.look(), condition(self.subscriptions))[1], 10, what)

    def settle(self):
        """Let the time pass that the proxies have."""
        self.clock.advance(SETTLING)
        self.look()


@pytest.fixture
def proxy(closing):
    """Return a proxy, not started."""
    return closing(Proxy())


@pytest.fixture
def closing():
    """Return a function that has something closed at the end."""
    with ExitStack() as stack:

        def register(thing):
            stack.callback(getattr(thing, "subscriptions", thing).close)
            return thing

        yield register


def test_has_is_true_until_all_proxies_have_had_time_to_tell(proxy, closing):
    """What is not known may be listened to."""
    watcher = closing(Watcher(proxy))
    watcher.look()
    watcher.settle()
    assert watcher.subscriptions.has("x")
    proxy.start("a")
    watcher.hear("a")
    assert watcher.subscriptions.has("x")
    watcher.settle()
    assert watcher.subscriptions.has("a")
    assert not watcher.subscriptions.has("x")


def test_news_names_each_first_subscriber_and_has_forgets_the_last(proxy, closing):
    """A channel that is left and subscribed to again is news again."""
    proxy.start()
    watcher = closing(Watcher(proxy))
    proxy.subscribe("a", "b")
    watcher.hear("a", "b")
    watcher.settle()
    proxy.unsubscribe("a")
    watcher.wait_for(lambda known: not known.has("a"), "a is left")
    assert watcher.subscriptions.has("b")
    watcher.heard.clear()
    proxy.subscribe("a")
    watcher.hear("a")
    assert watcher.heard == ["a"]


def test_proxy_that_goes_and_comes_back_is_asked_anew(proxy, closing):
    """Meanwhile everything counts as listened to; what the old one had subscribed to does not count on."""
    proxy.start("a", "b")
    watcher = closing(Watcher(proxy))
    watcher.hear("a", "b")
    watcher.settle()
    proxy.stop()
    watcher.wait_for(lambda known: known.has("x"), "everything counts")
    watcher.heard.clear()
    proxy.start("b", "c")
    watcher.hear("b", "c")
    watcher.settle()
    assert [name for name in "abcx" if watcher.subscriptions.has(name)] == ["b", "c"]


def test_two_proxies_count_together(closing):
    """The relay publishes to both; a channel is left when both have left it."""
    one, two = closing(Proxy()), closing(Proxy())
    one.start("a", "b")
    watcher = closing(Watcher(one, two))
    watcher.hear("a", "b")
    watcher.settle()
    assert watcher.subscriptions.has("x")  # the other one has not been heard of
    two.start("b", "c")
    watcher.hear("c")
    watcher.settle()
    assert [name for name in "abcx" if watcher.subscriptions.has(name)] == ["a", "b", "c"]
    one.unsubscribe("b")
    one.unsubscribe("a")
    watcher.wait_for(lambda known: not known.has("a"), "a is left")
    assert watcher.subscriptions.has("b")


def test_port_on_which_something_else_listens_tells_nothing_and_does_no_harm(proxy, closing):
    """An HTTP server, say; a proxy that comes in its place is heard."""
    with socket.create_server(("127.0.0.1", proxy.port)) as server:
        watcher = closing(Watcher(proxy))
        for _ in range(3):
            server.settimeout(10)
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        watcher.settle()
        assert watcher.subscriptions.has("x")
    proxy.start("a")
    watcher.hear("a")
    watcher.settle()
    assert not watcher.subscriptions.has("x")


def test_news_of_thousands_of_channels_at_once_are_all_heard(proxy, closing):
    """ZeroMQ drops what is too much for a queue, unless told that nothing is."""
    names = [f"topic-{number}" for number in range(20_000)]
    proxy.start(*names)
    watcher = closing(Watcher(proxy))
    watcher.hear(*names)


@pytest.mark.parametrize(
    "control_uri",
    ["https://api.fastly.com/service/abc", "http://proxy.example/", "https://localhost:5561"],
    ids=["Fanout", "no port", "https"],
)
def test_subscriptions_of_a_proxy_that_tells_nothing_are_everybody(control_uri):
    """One such proxy among several is enough: its clients may listen to anything."""
    with subscriptions([{"control_uri": "http://localhost:5561"}, {"control_uri": control_uri}]) as found:
        assert isinstance(found, Everybody)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_subscriptions_are_told_on_the_port_after_the_one_for_publishing(closing, host):
    """As Pushpin has it; GRIP_URL names the first of the two."""
    publish_port = free_port_pair()
    proxy = closing(Proxy(publish_port + 1)).start("a")
    with subscriptions([{"control_uri": f"http://{host}:{publish_port}"}]) as found:
        until(lambda: (proxy.work(), "a" in found.news())[1], 10, "a is news")
