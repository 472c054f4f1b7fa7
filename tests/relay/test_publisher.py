"""Publishing over HTTP: every answer but success is an error in time, and one proxy that is down stops no other."""

from __future__ import annotations

import json
import logging
import time
from contextlib import ExitStack, closing
from pathlib import Path

import jwt
import pytest
from gripcontrol import parse_grip_uri

from kafkasse.exceptions import PublishError
from relay.publisher import KEPT_SECONDS, HTTPPublisher, RefusedError
from tests.fakes import StubProxy, down, seconds_of
from tests.harness.wait import until

BODY = '{"items":[{"channel":"orders:0","id":"2","prev-id":"1","formats":{"http-stream":{"content":"é%%"}}}]}'.encode()
KEY = "a-key-of-more-than-thirty-two-bytes-for-sha256"
TIMEOUT = 0.5
CERTIFICATE = Path(__file__).with_name("localhost.pem")  # of localhost, by itself, until 2126


@pytest.fixture
def proxy():
    """Return a proxy that accepts everything."""
    with StubProxy() as running:
        yield running


@pytest.fixture
def another():
    """Return a second proxy."""
    with StubProxy() as running:
        yield running


@pytest.fixture
def publisher_for():
    """Return a function that returns a publisher to the proxies that some GRIP URLs name, or that are described."""
    with ExitStack() as made:

        def make(*proxies, timeout=TIMEOUT):
            described = [each if isinstance(each, dict) else parse_grip_uri(each) for each in proxies]
            return made.enter_context(closing(HTTPPublisher(described, timeout)))

        yield make


def refused(publisher, kind=PublishError):
    """Publish, expect an error of just this kind, and return its text."""
    with pytest.raises(kind) as caught:
        publisher.publish(BODY)
    assert type(caught.value) is kind
    return str(caught.value)


def said(caplog, text):
    """Return how many lines of the log contain `text`."""
    return sum(text in record.getMessage() for record in caplog.records if record.levelno >= logging.INFO)


# --- One proxy ----------------------------------------------------------------------------------------------------


def test_publish_accepted_sends_the_body_as_it_is(proxy, publisher_for):
    """One POST to publish/, as JSON, in UTF-8."""
    publisher_for(proxy.url).publish(BODY)
    (request,) = proxy.requests
    assert (request.path, request.body) == ("/publish/", BODY)
    assert request.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("status", [200, 202, 204])
def test_publish_answered_with_any_success_returns(proxy, status, publisher_for):
    """Fastly says 200, others may differ."""
    proxy.behaviour = status
    publisher_for(proxy.url).publish(BODY)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_publish_of_items_refused_for_ever_is_a_refused_error(proxy, status, publisher_for):
    """A malformed or too large body is as wrong the next time."""
    proxy.behaviour = status
    assert "too bad" in refused(publisher_for(proxy.url), RefusedError)


@pytest.mark.parametrize("status", [301, 302, 401, 403, 404, 408, 429, 500, 502, 503])
def test_publish_answered_with_another_status_is_a_publish_error(proxy, status, publisher_for):
    """A later attempt may succeed: after a restart, a new key, a new route."""
    proxy.behaviour = status
    assert str(status) in refused(publisher_for(proxy.url))
    assert len(proxy.requests) == 1


def test_publish_to_a_proxy_that_hangs_is_a_publish_error_within_the_timeout(proxy, publisher_for):
    """Pushpin's publish server has no time-out of its own."""
    proxy.behaviour = "hang"
    publisher = publisher_for(proxy.url)
    assert TIMEOUT <= seconds_of(lambda: refused(publisher)) < 2 * TIMEOUT


def test_publish_cut_by_a_reset_is_a_publish_error(proxy, publisher_for):
    """The proxy died while it read."""
    proxy.behaviour = "reset"
    assert seconds_of(lambda: refused(publisher_for(proxy.url))) < TIMEOUT


def test_publish_to_a_port_where_nobody_listens_is_a_publish_error_at_once(publisher_for):
    """The proxy has not been started yet."""
    publisher = publisher_for(StubProxy().url)
    assert seconds_of(lambda: refused(publisher)) < TIMEOUT


def test_publish_to_an_unknown_host_is_a_publish_error(publisher_for):
    """The name may be known later."""
    assert "nowhere.invalid" in refused(publisher_for("http://nowhere.invalid:5561"))


def test_publish_over_tls_checks_who_answers(monkeypatch, publisher_for):
    """As Fastly Fanout's endpoint is: one whose certificate nobody vouches for gets nothing."""
    with StubProxy(certificate=CERTIFICATE) as proxy:
        assert "SSLCertVerificationError" in refused(publisher_for(proxy.url))
        monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
        publisher_for(proxy.url).publish(BODY)
        assert [request.body for request in proxy.accepted] == [BODY]
        assert "SSLCertVerificationError" in refused(
            publisher_for(proxy.url.replace("localhost", "127.0.0.1"))
        )


def test_publish_error_names_the_proxy_and_shows_no_key(proxy, publisher_for):
    """Secrets are never printed."""
    proxy.behaviour = 500
    url = proxy.url.replace("://", "://user:secret@")
    text = refused(publisher_for(f"{url}?iss=me&key={KEY}"))
    assert f"127.0.0.1:{proxy.port}" in text
    assert "secret" not in text
    assert KEY not in text


def test_publish_after_an_error_succeeds_when_the_proxy_is_back(proxy, publisher_for):
    """No connection is remembered as broken."""
    publisher = publisher_for(proxy.url)
    publisher.publish(BODY)
    with down(proxy):
        refused(publisher)
    publisher.publish(BODY)
    assert len(proxy.accepted) == 2


# --- Where and with which key -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "path"),
    [
        ("", "/publish/"),
        ("/", "/publish/"),
        ("/base", "/base/publish/"),
        ("/base/", "/base/publish/"),
        ("/base?room=1", "/base/publish/?room=1"),
        (f"?room=1&iss=me&key={KEY}", "/publish/?room=1"),
    ],
)
def test_publish_posts_below_the_control_uri_and_keeps_its_query(proxy, suffix, path, publisher_for):
    """What GRIP_URL says besides issuer and key belongs to the proxy."""
    publisher_for(proxy.url + suffix).publish(BODY)
    assert proxy.requests[0].path == path


@pytest.mark.parametrize("form", [KEY, "base64:" + __import__("base64").b64encode(KEY.encode()).decode()])
def test_publish_with_issuer_and_key_carries_a_token_of_the_issuer(proxy, form, publisher_for):
    """Signed with the key, which a GRIP URL may hold as base64 and gripcontrol then gives as bytes."""
    publisher_for(f"{proxy.url}?iss=kafkasse&key={form}").publish(BODY)
    scheme, token = proxy.requests[0].headers["Authorization"].split()
    claims = jwt.decode(token, KEY, algorithms=["HS256"], options={"require": ["exp", "iss"]})
    assert scheme == "Bearer"
    assert claims["iss"] == "kafkasse"
    assert 60 < claims["exp"] - time.time() <= 3600


def test_publish_with_a_key_and_no_issuer_carries_the_key_as_it_is(proxy, publisher_for):
    """Fastly Fanout's form."""
    publisher_for(f"{proxy.url}/service/abc?verify-iss=fastly:abc&key=an-api-token").publish(BODY)
    (request,) = proxy.requests
    assert request.path == "/service/abc/publish/"
    assert request.headers["Authorization"] == "Bearer an-api-token"


@pytest.mark.parametrize("key", ["an-api-token", b"an-api-token"])
def test_publish_takes_the_bearer_key_as_text_and_as_bytes(proxy, key, publisher_for):
    """GRIP_PROXIES may be set by hand."""
    publisher_for({"control_uri": proxy.url, "key": key}).publish(BODY)
    assert proxy.requests[0].headers["Authorization"] == "Bearer an-api-token"


@pytest.mark.parametrize("more", [{}, {"key": None}, {"key": ""}, {"control_iss": "me"}])
def test_publish_without_a_key_carries_no_authorization(proxy, more, publisher_for):
    """The default `.env`."""
    publisher_for({"control_uri": proxy.url, **more}).publish(BODY)
    assert "Authorization" not in proxy.requests[0].headers


# --- Connections that are opened ahead ---------------------------------------------------------------------------


def test_publish_finds_its_connection_open(proxy, publisher_for):
    """The proxy accepts it before a record waits for that."""
    publisher = publisher_for(proxy.url)
    for _ in range(2):
        publisher.publish(BODY)
        for _ in range(3):
            publisher.prepare()
    until(lambda: proxy.connections == 3, 5, lambda: f"two, and one ahead: {proxy.connections}")
    assert [request.body for request in proxy.accepted] == [BODY, BODY]


def test_publish_after_the_proxy_was_started_again_succeeds_at_once(proxy, publisher_for, caplog):
    """The connection that was opened to the one before is no reason to believe that it is away."""
    publisher = publisher_for(proxy.url)
    publisher.publish(BODY)
    publisher.prepare()
    with down(proxy):
        pass
    publisher.publish(BODY)
    assert len(proxy.accepted) == 2
    assert said(caplog, "does not accept") == 0


def test_publish_after_a_long_silence_takes_a_new_connection(proxy, publisher_for, monkeypatch):
    """Something in between may have dropped the other one without a word."""
    publisher = publisher_for(proxy.url)
    publisher.publish(BODY)
    publisher.prepare()
    until(lambda: proxy.connections == 2, 5, "the next connection is there")
    later = time.monotonic() + KEPT_SECONDS
    with monkeypatch.context() as patched:
        patched.setattr("relay.publisher.time.monotonic", lambda: later)
        publisher.publish(BODY)
    assert proxy.connections == 3


def test_publish_over_a_connection_that_hangs_takes_no_longer_than_the_timeout(proxy, publisher_for):
    """It is not tried again: the proxy may have taken it, and the record has waited for long enough."""
    publisher = publisher_for(proxy.url)
    publisher.publish(BODY)
    publisher.prepare()
    proxy.behaviour = "hang"
    seconds = seconds_of(lambda: refused(publisher))
    assert TIMEOUT * 0.9 < seconds < TIMEOUT * 1.8


def test_prepare_for_a_proxy_that_is_away_is_tried_once_and_says_nothing(proxy, publisher_for, caplog):
    """The next publish finds out; until then nothing is wrong."""
    publisher = publisher_for(proxy.url)
    publisher.publish(BODY)
    with down(proxy):
        publisher.prepare()
    publisher.prepare()
    assert proxy.connections == 1
    publisher.publish(BODY)
    assert said(caplog, "does not accept") == 0


def test_prepare_leaves_a_proxy_alone_that_is_still_busy(proxy, another, publisher_for):
    """It hangs, and has a connection of the publish before."""
    publisher = publisher_for(proxy.url, another.url)
    publisher.publish(BODY)
    another.behaviour = "hang"
    publisher.publish(BODY)  # it counts as away from here on
    publisher.publish(BODY)
    until(lambda: another.connections == 3, 5, lambda: f"one each: {another.connections}")
    publisher.prepare()
    until(lambda: proxy.connections == 4, 5, lambda: f"three, and one ahead: {proxy.connections}")
    assert another.connections == 3


# --- Announcements and several proxies ----------------------------------------------------------------------------


def test_proxy_that_goes_and_comes_back_is_announced_once_each(proxy, caplog, publisher_for):
    """Not per attempt, and again when it goes again."""
    caplog.set_level(logging.INFO)
    publisher = publisher_for(proxy.url)
    for announced in (1, 2):
        with down(proxy):
            for _ in range(3):
                refused(publisher)
        for _ in range(3):
            publisher.publish(BODY)
        assert said(caplog, "does not accept items") == announced
        assert said(caplog, "accepts items again") == announced


def test_proxy_that_refuses_items_is_not_announced_as_gone(proxy, caplog, publisher_for):
    """It is there, and takes the next ones."""
    publisher = publisher_for(proxy.url)
    proxy.behaviour = 400
    refused(publisher, RefusedError)
    assert said(caplog, "does not accept") == 0


def test_publish_reaches_every_proxy(proxy, another, publisher_for):
    """Each holds clients of its own."""
    publisher_for(proxy.url, another.url).publish(BODY)
    assert [json.loads(each.requests[0].body) for each in (proxy, another)] == [json.loads(BODY)] * 2


def test_publish_waits_for_all_proxies_at_once(proxy, another, publisher_for):
    """Two that hang take no longer than one."""
    proxy.behaviour = another.behaviour = "hang"
    publisher = publisher_for(proxy.url, another.url)
    assert seconds_of(lambda: refused(publisher)) < 2 * TIMEOUT


@pytest.mark.parametrize("behaviour", [500, "reset", "hang", "gone"])
def test_publish_with_one_proxy_down_reaches_the_other_and_says_so_once(
    proxy, another, caplog, behaviour, publisher_for
):
    """The clients of the one that missed items are repaired from the log."""
    caplog.set_level(logging.INFO)
    publisher = publisher_for(proxy.url, another.url)
    another.stop() if behaviour == "gone" else setattr(another, "behaviour", behaviour)
    for _ in range(2):
        publisher.publish(BODY)
    assert len(proxy.accepted) == 2
    assert said(caplog, "does not accept items") == 1
    another.start() if behaviour == "gone" else setattr(another, "behaviour", 200)

    def back():
        publisher.publish(BODY)
        return said(caplog, "accepts items again")

    until(back, 5, "the proxy is back")  # whether it is waited for at once is left open
    publisher.publish(BODY)
    assert said(caplog, "accepts items again") == 1
    assert len(another.accepted) >= 2


def test_publish_with_one_proxy_that_hangs_is_not_slowed_down_for_ever(proxy, another, publisher_for):
    """A proxy that is down is not waited for each time: the clients of the other would wait as long."""
    another.behaviour = "hang"
    publisher = publisher_for(proxy.url, another.url)
    publisher.publish(BODY)
    assert seconds_of(lambda: [publisher.publish(BODY) for _ in range(4)]) < 2 * TIMEOUT


def test_publish_with_all_proxies_down_is_a_publish_error(proxy, another, publisher_for):
    """Nobody has the items: try again."""
    with down(proxy), down(another):
        refused(publisher_for(proxy.url, another.url))


def test_publish_refused_by_one_and_missed_by_the_other_is_a_refused_error(proxy, another, publisher_for):
    """The body will not get better; what missed it is repaired from the log."""
    proxy.behaviour = 400
    with down(another):
        refused(publisher_for(another.url, proxy.url), RefusedError)


def test_two_proxies_on_one_host_are_announced_apart(proxy, caplog, publisher_for):
    """Two services of Fastly's differ by their path only."""
    caplog.set_level(logging.INFO)
    publisher = publisher_for(f"{proxy.url}/service/one", f"{proxy.url}/service/two")
    proxy.behaviour = 503
    refused(publisher)
    assert said(caplog, "does not accept items") == 2
