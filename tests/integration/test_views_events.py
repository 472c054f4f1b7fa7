"""`/events/<topic>/`: the first answer, header by header and byte by byte."""

import json

import pytest
from django.test import Client

from kafkasse import cursor, sse
from tests.harness.cursors import channels_of, event_id
from tests.kafkasse.grip_proxy import GripProxy, ask

pytestmark = pytest.mark.integration


@pytest.fixture
def relayed(cluster, topic):
    """Make a topic of two partitions that the relay has published all of."""
    cluster.create_topic(topic, 2)
    cluster.write(topic, [(number % 2, b"%d" % number) for number in range(80)])
    cluster.commit(topic, {0: 40, 1: 40})
    return topic


def reset_of(answer):
    """Return the data of the only reset, after the opening."""
    opened, reset = answer.events
    assert (opened.type, reset.type) == ("stream-open", "stream-reset")
    return json.loads(reset.data)


def seen(events):
    """Return the events with what their cursors mean: a vector may name an own position or leave it to the first entry."""
    return [(event.type, event.data, cursor.decode(event.id)) for event in events]


def test_fresh_is_a_hold_at_the_relays_position(relayed):
    """Every channel, every header; nothing of the history."""
    answer = ask(f"/events/{relayed}/")
    assert answer.status == 200
    name = f"{relayed}:{cursor.tag(relayed)}"
    assert answer.headers["Grip-Hold"] == "stream"
    assert answer.headers["Grip-Channel"] == (
        f"{name}:0; prev-id=14; filter=build-id, {name}:1; prev-id=14; filter=build-id, {relayed}:~, ~"
    )
    assert answer.headers["Grip-Link"] == f"</next/events/{relayed}/s/>; rel=next; timeout=29"
    assert answer.headers["Grip-Keep-Alive"] == ":\\n\\n; format=cstring; timeout=37"
    assert answer.headers["Grip-Set-Meta"] == f'id_format="%({name}:0)s.%({name}:1)s"'
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert answer.headers["Cache-Control"] == "no-cache, no-transform"
    assert answer.headers["X-Accel-Buffering"] == "no"
    assert int(answer.headers["Content-Length"]) == len(answer.body)


def test_fresh_first_bytes_open_the_stream(relayed):
    """The time to come back, and the first cursor."""
    answer = ask(f"/events/{relayed}/")
    assert answer.text.startswith(
        f"retry: 2000\n\nevent: stream-open\nid: {event_id(relayed, {0: 40, 1: 40})}\n"
    )
    (opened,) = answer.events
    assert json.loads(opened.data) == {"topics": {cursor.tag(relayed): relayed}, "partitions": 2}


def test_fresh_prefix_stands_before_the_channels(relayed, settings):
    """A deployment that shares its proxy has names of its own."""
    settings.GRIP_PREFIX = "mine-"
    answer = ask(f"/events/{relayed}/")
    assert list(answer.channels) == channels_of(relayed, (0, 1), "mine-")
    name = f"mine-{relayed}:{cursor.tag(relayed)}"
    assert answer.headers["Grip-Set-Meta"] == f'id_format="%({name}:0)s.%({name}:1)s"'


def test_fresh_relay_not_there_yet_holds_at_the_logs_end(cluster, topic):
    """History is never sent unasked."""
    cluster.create_topic(topic, 2)
    cluster.write(topic, [(0, b"x")] * 3)
    answer = ask(f"/events/{topic}/")
    assert answer.positions == {0: 3, 1: 0}


def test_unknown_topic_is_held_and_not_created(cluster, topic):
    """Asking creates nothing, however one asks."""
    for path in (
        f"/events/{topic}/",
        f"/next/events/{topic}/",
        f"/next/events/{topic}/{event_id(topic, {0: 0})}/",
    ):
        answer = ask(path)
        assert (answer.status, answer.positions) == (200, {0: 0}), path
    assert topic not in cluster.topics()


def test_unknown_topic_appears_and_its_first_record_flows(cluster, topic):
    """The hold learns of it by its next link, the other partitions too."""
    proxy = GripProxy().open(topic)
    cluster.create_topic(topic, 3)
    cluster.write(topic, [(2, b"first of all"), (0, b"second")])
    cluster.commit(topic, {0: 1, 2: 1})
    proxy.refill()
    assert sorted(event.data for event in proxy.records()) == ["first of all", "second"]
    assert proxy.positions == {0: 1, 1: 0, 2: 1}


def test_resume_on_a_topic_that_is_gone_is_reset(cluster, topic):
    """A cursor of a log that does not exist is beyond its end."""
    answer = ask(f"/events/{topic}/", Last_Event_ID=event_id(topic, {0: 5}))
    assert reset_of(answer) == {
        "reason": "ahead",
        "topic": topic,
        "partition": 0,
        "requested": 5,
        "resumed": 0,
    }
    assert answer.positions == {0: 0}


@pytest.mark.parametrize("name", ["__consumer_offsets", "_schemas", "_confluent-x", "__x"])
def test_internal_topic_is_not_found(cluster, name):
    """It is the same as if there were none."""
    assert ask(f"/events/{name}/").status == 404


def test_topic_outside_the_pattern_is_not_found(relayed, settings):
    """The pattern is for both sides."""
    settings.KAFKASSE_TOPIC_PATTERN = "shop[.].*"
    assert ask(f"/events/{relayed}/").status == 404


def test_without_trailing_slash_works_alike_query_kept(relayed):
    """No redirect, and the query counts."""
    text = event_id(relayed, {0: 38, 1: 40})
    answer = ask(f"/events/{relayed}?last_event_id={text}")
    assert answer.status == 200
    assert [event.data for event in answer.events[1:]] == ["76", "78"]
    assert answer.body == ask(f"/events/{relayed}/?last_event_id={text}").body


def test_head_has_the_headers_and_no_body(relayed):
    """It does not hold."""
    answer = ask(f"/events/{relayed}/", "head")
    assert (answer.status, answer.body, answer.holds) == (200, b"", False)
    assert answer.headers["Content-Type"] == "text/event-stream"


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
@pytest.mark.parametrize("path", ["/events/{}/", "/next/events/{}/", "/next/events/{}/1abcdef.0-1/"])
def test_other_methods_are_not_allowed(relayed, method, path):
    """Nothing is written here."""
    answer = ask(path.format(relayed), method)
    assert answer.status == 405
    assert {"GET", "HEAD"} <= set(answer.headers["Allow"].split(", "))


def test_options_and_cors_for_the_allowed_origin_only(relayed, settings):
    """An EventSource of that origin may read; the preflight says so."""
    settings.CORS_ALLOWED_ORIGINS = ["https://shop.example"]
    preflight = {"Access_Control_Request_Method": "GET", "Access_Control_Request_Headers": "last-event-id"}
    allowed = ask(f"/events/{relayed}/", Origin="https://shop.example")
    assert allowed.headers["Access-Control-Allow-Origin"] == "https://shop.example"
    assert allowed.holds
    answer = ask(f"/events/{relayed}/", "options", Origin="https://shop.example", **preflight)
    assert answer.status in {200, 204}
    assert answer.headers["Access-Control-Allow-Origin"] == "https://shop.example"
    assert "GET" in answer.headers["Access-Control-Allow-Methods"]
    for method in ("get", "options"):
        other = ask(f"/events/{relayed}/", method, Origin="https://evil.example", **preflight)
        assert "Access-Control-Allow-Origin" not in other.headers


def test_options_without_origin_is_answered(relayed):
    """Plain OPTIONS is no error."""
    assert ask(f"/events/{relayed}/", "options").status in {200, 204}


@pytest.mark.parametrize("by", ["header", "query"])
def test_resume_gives_exactly_what_is_missing(relayed, by):
    """Byte for byte what the encoder writes for those records, in order, and then the hold."""
    text = event_id(relayed, {0: 37, 1: 39})
    path = f"/events/{relayed}/"
    answer = ask(path, Last_Event_ID=text) if by == "header" else ask(f"{path}?last_event_id={text}")
    tag = cursor.head(cursor.tag(relayed), 0), cursor.head(cursor.tag(relayed), 1)
    expected = (
        sse.record(f"{tag[0]}12.11.13", b"74")
        + sse.record(f"{tag[0]}13.11.13", b"76")
        + sse.record(f"{tag[0]}14.11.13", b"78")
        + sse.record(f"{tag[1]}14.14.13", b"79")
    )
    opening, rest = answer.text.split("\n\nevent: message", 1)
    assert opening.startswith("retry: 2000\n\nevent: stream-open\nid: " + text)
    assert "event: message" + rest == expected
    assert answer.positions == {0: 40, 1: 40}


def test_resume_header_wins_over_query(relayed):
    """A reconnecting EventSource keeps its URL, and the header is newer."""
    old, new = event_id(relayed, {0: 1, 1: 1}), event_id(relayed, {0: 40, 1: 39})
    answer = ask(f"/events/{relayed}/?last_event_id={old}", Last_Event_ID=new)
    assert [event.data for event in answer.events[1:]] == ["79"]


def test_resume_with_the_id_of_any_event_goes_on_behind_it(relayed):
    """No gap and nothing twice, wherever the connection broke."""
    events = ask(f"/events/{relayed}/", Last_Event_ID=event_id(relayed, {0: 30, 1: 30})).events[1:]
    assert len(events) == 20
    for number, event in enumerate(events):
        again = ask(f"/events/{relayed}/", Last_Event_ID=event.id).events[1:]
        assert seen(again) == seen(events[number + 1 :])


def test_resume_percent_signs_pass_the_proxys_filter(cluster, topic):
    """The body goes out with a hold, so the filter works on it."""
    cluster.create_topic(topic, 1)
    cluster.write(topic, [(0, b"100 %"), (0, b"%I %% %(x)s")])
    cluster.commit(topic, {0: 2})
    answer = ask(f"/events/{topic}/", Last_Event_ID=event_id(topic, {0: 0}))
    assert (answer.holds, answer.filters_next, answer.is_sealed) == (True, True, True)
    assert [event.data for event in answer.events[1:]] == ["100 %", "%I %% %(x)s"]


@pytest.mark.parametrize(
    "text",
    ["x", "1abcdef.0-", "orders:0:5", "\xff", "1y2p0ij32e8e8", "a" * 10_240],
    ids=lambda text: ascii(text[:30]),
)
def test_resume_unreadable_is_reset_and_held(relayed, text):
    """The client learns that there is a gap, and goes on live."""
    answer = ask(f"/events/{relayed}/", Last_Event_ID=text)
    assert answer.status == 200
    assert reset_of(answer)["reason"] == "unreadable"
    assert answer.positions == {0: 40, 1: 40}


@pytest.mark.parametrize("query", ["%00", "a%0D%0Ab", "%FF", "1abcdef.0-1%0A", "%D9%A3"])
def test_resume_unreadable_query_is_reset_and_held(relayed, query):
    """The query takes bytes that no header does."""
    answer = ask(f"/events/{relayed}/?last_event_id={query}")
    assert answer.status == 200
    assert reset_of(answer)["reason"] == "unreadable"


def test_resume_foreign_is_reset_and_held(relayed):
    """The cursor of another topic."""
    answer = ask(f"/events/{relayed}/", Last_Event_ID=event_id("another", {0: 1, 1: 1}))
    assert reset_of(answer)["reason"] == "foreign"
    assert answer.positions == {0: 40, 1: 40}


def test_resume_ahead_of_the_log_is_reset_for_that_partition_only(relayed):
    """The other partition goes on exactly."""
    answer = ask(f"/events/{relayed}/", Last_Event_ID=event_id(relayed, {0: 41, 1: 39}))
    opened, reset, event = answer.events
    assert json.loads(reset.data) == {
        "reason": "ahead",
        "topic": relayed,
        "partition": 0,
        "requested": 41,
        "resumed": 40,
    }
    assert event.data == "79"
    assert opened.id == reset.id == event_id(relayed, {0: 40, 1: 39})
    assert answer.positions == {0: 40, 1: 40}


def test_resume_ahead_of_the_relay_only_is_no_reset(cluster, relayed):
    """The relay commits a moment after it publishes."""
    cluster.write(relayed, [(0, b"newer")])
    answer = ask(f"/events/{relayed}/", Last_Event_ID=event_id(relayed, {0: 41, 1: 40}))
    assert [event.type for event in answer.events] == ["stream-open"]
    assert answer.positions == {0: 41, 1: 40}


def test_resume_ends_at_the_relays_position(cluster, relayed):
    """What the relay has not published yet comes from the relay: a page ends on an item's boundary."""
    cluster.write(relayed, [(0, b"newer"), (1, b"newer")])
    answer = ask(f"/events/{relayed}/", Last_Event_ID=event_id(relayed, {0: 39, 1: 40}))
    assert [event.data for event in answer.events[1:]] == ["78"]
    assert answer.positions == {0: 40, 1: 40}


def test_resume_after_retention_says_what_is_lost(cluster, relayed):
    """Never a silent gap."""
    cluster.forget_before(relayed, 0, 38)
    answer = ask(f"/events/{relayed}/", Last_Event_ID=event_id(relayed, {0: 10, 1: 39}))
    opened, reset, *events = answer.events
    assert opened.type == "stream-open"
    assert reset.type == "stream-reset"
    assert json.loads(reset.data) == {
        "reason": "retention",
        "topic": relayed,
        "partition": 0,
        "requested": 10,
        "resumed": 38,
    }
    assert [event.data for event in events] == ["76", "78", "79"]


def test_resume_partition_that_appeared_since_starts_at_its_beginning(relayed):
    """The cursor does not name it, so all of it is new."""
    answer = ask(f"/events/{relayed}/", Last_Event_ID=event_id(relayed, {0: 40}))
    assert [event.data for event in answer.events[1:]] == [str(number) for number in range(1, 80, 2)]


@pytest.mark.parametrize(("limit", "status"), [(3, 400), (4, 200)])
def test_too_many_channels_is_one_clear_error(relayed, settings, limit, status):
    """The proxy would silently leave some out; the control channel and the quiet one count."""
    settings.KAFKASSE_MAX_CHANNELS = limit
    answer = ask(f"/events/{relayed}/")
    assert answer.status == status
    if status == 400:
        assert answer.headers["Content-Type"] == "application/json"
        assert json.loads(answer.text) == {
            "error": f"{relayed} has 2 partitions and needs 4 channels; the proxy takes 3 per connection"
        }
        assert not answer.holds


def test_index_lists_the_topics_with_their_urls(relayed):
    """The page at the root says what runs here."""
    answer = ask("/")
    assert answer.status == 200
    assert f'href="/events/{relayed}/"' in answer.text


def test_index_escapes_nothing_wrong_and_hides_the_internal(cluster, relayed):
    """Internal topics are not listed."""
    cluster.create_topic("_schemas", 1)
    assert "_schemas" not in ask("/").text


def test_index_refuses_other_methods(cluster):
    """Nothing is written here either."""
    assert ask("/", "post").status == 405
    assert Client().head("/").status_code == 200
