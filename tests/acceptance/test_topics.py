"""Several topics in one stream: one connection, one cursor over all of them."""

import json
import time
import uuid

import httpx
import pytest

from kafkasse import cursor
from tests.acceptance.crowd import told
from tests.harness.check import NumberedWriter, check
from tests.harness.wait import until

pytestmark = pytest.mark.acceptance


@pytest.fixture
def unused_name():
    """Return a name that no topic has."""
    return f"unused-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def pair(unused_topics):
    """Return two topics of four partitions each."""
    return tuple(sorted(unused_topics.pop() for _ in range(2)))


def of(client, tag):
    """Return the records of the topic that a tag stands for."""
    return [event for event in client.records if event.id.startswith(f"{tag}.")]


def tags(client):
    """Return the tag of each topic, as the stream says first."""
    found = json.loads(client.wait_open().data)["topics"]
    return {topic: tag for tag, topic in found.items()}


def positions(client):
    """Return the position in each partition of each topic, by tag."""
    return cursor.decode(client.last_event_id).positions


def arrived(client, known, last):
    """Say whether the client is past the last record of each partition of each topic."""
    at = positions(client)
    return all(
        at[known[topic]][each] > number for topic, ends in last.items() for each, number in ends.items()
    )


def test_two_topics_share_a_connection_and_a_cursor(kafka, stack, pair, listen):
    """Ten clients at 2 x 200 records/s, each cut twice: nothing lost or repeated of either, and all live at the end."""
    url = stack.url(f"/events/{'+'.join(pair)}/?offset=earliest")
    writers = {topic: NumberedWriter(kafka.bootstrap, topic, rate=200) for topic in pair}
    with writers[pair[0]], writers[pair[1]]:
        for writer in writers.values():
            writer.wait_total(200, 20)
        clients = [listen(url, reconnect=True, max_retry=0.2) for _ in range(10)]
        known = tags(clients[0])
        assert set(known) == set(pair)
        for _ in range(2):
            goal = max(writer.total for writer in writers.values()) + 300
            for writer in writers.values():
                writer.wait_total(goal, 20)
            for client in clients:
                client.cut()
        last = {topic: writer.stop() for topic, writer in writers.items()}
    for client in clients:
        client.wait_for(lambda client: arrived(client, known, last), 30, f"everything up to {last}")
        for topic in pair:
            check(of(client, known[topic]), last[topic]).assert_ok()
        assert [event.type for event in client.records if event.type != "message"] == []
        assert {event.type for event in client.notices} <= {"stream-open", "stream-heartbeat"}
    since = time.monotonic()
    for topic in pair:
        kafka.produce(topic, b"live")
    for client in clients:
        client.wait_for(
            lambda client: {event.data for event in client.records[-2:]} == {"live"}, 10, "both live"
        )
    assert time.monotonic() - since < 10


def test_order_of_the_names_does_not_matter(kafka, stack, pair, listen):
    """Nor does a name that stands there twice: a cursor of one way to write them is good for every other."""
    one, other = pair
    client = listen(stack.url(f"/events/{one}+{other}/"))
    client.wait_open()
    kafka.produce(one, b"a")
    kafka.produce(other, b"b")
    client.wait_for(2, 10)
    client.close()
    kafka.produce(one, b"c")
    back = listen(stack.url(f"/events/{other}%2B{one}+{other}/"), last_event_id=client.last_event_id)
    back.wait_for(1, 10)
    assert [event.data for event in back.records] == ["c"]
    assert [event.type for event in told(back)] == ["stream-open"]


def test_cursor_of_one_topic_goes_on_in_a_stream_of_two(kafka, stack, pair, listen):
    """The other topic begins with what comes, and nobody is told of a break that there is not."""
    one, other = pair
    kafka.produce(other, b"history")
    # Where nobody listens, the relay follows the end of the log by looking at it.
    until(lambda: kafka.has_committed_all(stack.group, other), 10, "it is history")
    client = listen(stack.url(f"/events/{one}/"))
    client.wait_open()
    kafka.produce(one, b"a")
    client.wait_for(1, 10)
    client.close()
    kafka.produce(one, b"b")
    both = listen(stack.url(f"/events/{one}+{other}/"), last_event_id=client.last_event_id)
    both.wait_for(1, 10)
    kafka.produce(other, b"c")
    both.wait_for(2, 10)
    assert [event.data for event in both.records] == ["b", "c"]
    back = listen(stack.url(f"/events/{other}/"), last_event_id=both.last_event_id)
    back.wait_open()
    kafka.produce(other, b"d")
    back.wait_for(1, 10)
    assert [event.data for event in back.records] == ["d"]
    assert [event.type for event in told(back)] == ["stream-open"]


def test_topic_that_appears_joins_the_others(kafka, stack, pair, unused_name, listen):
    """With its first record; the others are not disturbed."""
    client = listen(stack.url(f"/events/{pair[0]}+{unused_name}/"))
    client.wait_open()
    kafka.produce(pair[0], b"before")
    client.wait_for(1, 10)
    kafka.create_topic(unused_name)
    kafka.produce(unused_name, b"first")
    client.wait_for(2, 20)
    kafka.produce(pair[0], b"after")
    client.wait_for(3, 10)
    assert [event.data for event in client.records] == ["before", "first", "after"]
    assert "stream-reset" not in {event.type for event in client.notices}


def test_page_in_json_has_records_of_both(kafka, stack, pair):
    """Each names its topic."""
    for topic in pair:
        kafka.produce(topic, topic.encode())
    page = httpx.get(stack.url(f"/events/{'+'.join(pair)}/?offset=earliest&format=json"), timeout=10).json()
    assert sorted((each["topic"], each["value"]) for each in page["records"]) == [
        (topic, topic) for topic in pair
    ]
    following = httpx.get(stack.url(page["next"]), timeout=10).json()
    assert following["records"] == []


def test_more_channels_than_the_proxy_takes_is_one_clear_error(stack, pair):
    """It says the number; Kafka is not asked about a thousand topics."""
    names = "+".join(f"t{number}" for number in range(600))
    answer = httpx.get(stack.url(f"/events/{names}/"), timeout=10)
    assert answer.status_code == 400
    assert "1201 channels; the proxy takes 1000" in answer.json()["error"]


def test_one_partition_of_two_topics_is_refused(stack, pair):
    """It would be another one in each."""
    answer = httpx.get(stack.url(f"/events/{'+'.join(pair)}/?partition=0&offset=0"), timeout=10)
    assert (answer.status_code, answer.json()["parameter"]) == (400, "partition")
