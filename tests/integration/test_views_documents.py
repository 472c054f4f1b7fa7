"""Records as JSON: one by its place, and pages, on the mock cluster."""

import json

import pytest
from django.test import Client

from tests.harness.cursors import event_id, positions_of
from tests.kafkasse.grip_proxy import ask

pytestmark = pytest.mark.integration

COUNT = 20
TIME = 1_700_000_000_000


@pytest.fixture
def written(cluster, topic):
    """Make a topic of two partitions; the relay is behind, which is no matter here."""
    cluster.create_topic(topic, 2)
    for number in range(2 * COUNT):
        cluster.write(topic, [(number % 2, b"%d" % number)], time=TIME + number)
    cluster.commit(topic, {0: 3, 1: 3})
    return topic


# --- one record -------------------------------------------------------------------------------------------------------


def test_record_by_its_place(written):
    """All that Kafka keeps of it; for good."""
    answer = ask(f"/events/{written}/1/7/")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "max-age=31536000, immutable"
    assert json.loads(answer.text) == {
        "topic": written,
        "partition": 1,
        "offset": 7,
        "timestamp": TIME + 15,
        "key": None,
        "headers": [],
        "value": "15",
    }


def test_record_with_key_and_headers_and_bytes_that_are_no_text(cluster, topic):
    """Text as text, other bytes as base64, a null as null."""
    cluster.create_topic(topic, 1)
    sent = [
        (b"\xff\x00", b"k", [("a", b"x"), ("a", b"\xfe"), ("n", None)]),
        (None, b"\xfd", []),
        ("snow \u2603".encode(), None, []),
    ]
    for value, key, headers in sent:
        cluster._producer.produce(topic, value, key, headers=headers)  # noqa: SLF001
    assert cluster._producer.flush(10) == 0  # noqa: SLF001
    first, second, third = (json.loads(ask(f"/events/{topic}/0/{n}/").text) for n in range(3))
    assert first["value_base64"] == "/wA="
    assert "value" not in first
    assert first["key"] == "k"
    assert first["headers"] == [
        {"name": "a", "value": "x"},
        {"name": "a", "value_base64": "/g=="},
        {"name": "n", "value": None},
    ]
    assert (second["value"], second["key_base64"]) == (None, "/Q==")
    assert (third["value"], third["key"]) == ("snow \u2603", None)


def test_record_unchanged_is_not_sent_again(written):
    """The tag is the place and the time."""
    tag = ask(f"/events/{written}/1/7/").headers["ETag"]
    again = ask(f"/events/{written}/1/7/", If_None_Match=f'"other", {tag}')
    assert (again.status, again.body, again.headers["ETag"]) == (304, b"", tag)
    other = ask(f"/events/{written}/1/8/", If_None_Match=tag)
    assert other.status == 200


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("0/20", "never"),
        ("0/9223372036854775807", "never"),
        ("2/0", "never"),
        ("0/4", "gone"),
        ("0/0", "gone"),
    ],
)
def test_record_that_is_not_there_says_whether_it_ever_was(cluster, written, place, reason):
    """Beyond the end, in no partition, or deleted."""
    cluster.forget_before(written, 0, 5)
    answer = ask(f"/events/{written}/{place}/")
    assert answer.status == 404
    assert json.loads(answer.text)["reason"] == reason
    assert "Cache-Control" not in answer.headers


@pytest.mark.parametrize(
    "place", ["0/-1", "0/x", "0/00", "00/0", "0/9223372036854775808", "0/1.0", "0/%D9%A3"]
)
def test_record_of_an_impossible_place_is_no_url(written, place):
    """One record has one URL."""
    assert ask(f"/events/{written}/{place}/").status == 404


def test_record_of_an_unknown_topic_creates_nothing(cluster, topic):
    """Asking never does."""
    assert ask(f"/events/{topic}/0/0/").status == 404
    assert topic not in cluster.topics()


def test_record_of_an_internal_topic_is_not_found(cluster):
    """As its stream."""
    assert ask("/events/__consumer_offsets/0/0/").status == 404


# --- pages ------------------------------------------------------------------------------------------------------------


def follow(path, **headers):
    """Return the pages from `path` on, until one is empty."""
    pages = []
    while True:
        answer = ask(path, **headers)
        assert answer.status == 200, answer
        found = json.loads(answer.text)
        if not found["records"]:
            return pages
        pages.append(found)
        path = found["next"]


@pytest.mark.parametrize("how", [{"Accept": "application/json"}, {}])
@pytest.mark.parametrize("most", [1, 7, 1000])
def test_pages_lead_through_the_whole_log(written, settings, how, most):
    """Each record once, in order for each partition, up to the log's end, wherever the relay is."""
    settings.KAFKASSE_PAGE_RECORDS = most
    query = "?offset=earliest" + ("" if how else "&format=json")
    pages = follow(f"/events/{written}/{query}", **how)
    records = [record for page in pages for record in page["records"]]
    for partition in (0, 1):
        mine = [record["offset"] for record in records if record["partition"] == partition]
        assert mine == list(range(COUNT))
    assert len(records) == 2 * COUNT
    assert {len(page["records"]) for page in pages[:-1]} <= {most}
    assert positions_of(pages[-1]["cursor"]) == {0: COUNT, 1: COUNT}


def test_page_of_the_present_says_where_to_go_on(cluster, written):
    """So a script can poll; it begins where a stream would, which is where the relay is."""
    first = json.loads(ask(f"/events/{written}/?format=json").text)
    assert len(first["records"]) == 2 * COUNT - 6
    assert json.loads(ask(first["next"]).text)["records"] == []
    cluster.write(written, [(1, b"new")])
    (record,) = json.loads(ask(first["next"]).text)["records"]
    assert record["value"] == "new"


def test_page_that_came_to_its_end_has_no_next(written):
    """`until` says where."""
    page = json.loads(ask(f"/events/{written}/?offset=earliest&until=now&format=json").text)
    assert (len(page["records"]), page["next"]) == (2 * COUNT, None)


def test_page_as_lines(written):
    """One object for each record; the next page stands in a header."""
    answer = ask(f"/events/{written}/?last=5", Accept="application/x-ndjson")
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    assert answer.text.endswith("}\n")
    records = [json.loads(line) for line in answer.text.splitlines()]
    assert sorted(int(record["value"]) for record in records) == list(range(2 * COUNT - 5, 2 * COUNT))
    link = answer.headers["Link"]
    assert link.endswith('>; rel="next"')
    assert ask(link[1 : link.index(">")], Accept="application/x-ndjson").text == ""


def test_page_of_one_partition(written):
    """From an exact offset; and the next one too."""
    page = json.loads(ask(f"/events/{written}/?partition=1&offset=18&format=json").text)
    assert [(record["partition"], record["offset"]) for record in page["records"]] == [(1, 18), (1, 19)]
    assert json.loads(ask(page["next"]).text)["records"] == []


@pytest.mark.parametrize("form", ["json", "ndjson"])
def test_page_tells_what_is_missing_from_it(cluster, written, form):
    """As a stream does, by `stream-reset`."""
    cluster.forget_before(written, 0, 5)
    start = event_id(written, {0: 2, 1: 18})
    answer = ask(f"/events/{written}/?format={form}&last_event_id={start}")
    reset = {"reason": "retention", "topic": written, "partition": 0, "requested": 2, "resumed": 5}
    if form == "json":
        found = json.loads(answer.text)
        assert found["resets"] == [reset]
        assert len(found["records"]) == 17
    else:
        assert json.loads(answer.text.splitlines()[0]) == {"reset": reset}


@pytest.mark.parametrize(
    "accept",
    [
        "*/*",
        "text/event-stream",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "text/plain",
        "",
    ],
)
def test_stream_is_what_everybody_else_gets(written, accept):
    """A browser that opens the URL, curl, an EventSource."""
    answer = ask(f"/events/{written}/", Accept=accept)
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert answer.holds


@pytest.mark.parametrize("query", ["format=xml", "format=json&last=0"])
def test_page_that_cannot_be_is_one_line(written, query):
    """As for a stream."""
    answer = ask(f"/events/{written}/?{query}")
    assert answer.status == 400
    assert json.loads(answer.text)["parameter"] in ("format", "last")


@pytest.mark.parametrize("path", ["0/0/", "?format=json"])
def test_document_without_kafka_is_a_503(fragile, topic, path):
    """A script can tell that from an empty page; within the time of a request."""
    fragile.create_topic(topic, 1)
    fragile.down()
    answer = ask(f"/events/{topic}/{path}")
    assert answer.status == 503
    assert 2 <= int(answer.headers["Retry-After"]) <= 5
    assert json.loads(answer.text)["error"]


def test_head_of_a_record_is_that_of_its_answer(written):
    """Without the body."""
    answer = Client().head(f"/events/{written}/0/0/")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert "ETag" in answer.headers
