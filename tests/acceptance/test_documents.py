"""Records as JSON, through a real Kafka and the proxy: one by its place, and pages."""

import json
import time

import httpx
import pytest

from tests.harness.check import NumberedWriter

pytestmark = pytest.mark.acceptance


def test_record_has_an_address_and_can_be_kept(kafka, stack, topic):
    """The cursor of a stream says which one it is."""
    with stack.client(topic) as client:
        client.wait_open()
        kafka.produce(topic, b'{"order": 42}', partition=2, key=b"k")
        client.wait_for(1, 15)
    url = stack.url(f"/events/{topic}/2/0/")
    answer = httpx.get(url, timeout=10)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "max-age=31536000, immutable"
    found = answer.json()
    assert (found["value"], found["key"], found["offset"]) == ('{"order": 42}', "k", 0)
    assert httpx.get(url, headers={"If-None-Match": answer.headers["etag"]}, timeout=10).status_code == 304
    absent = httpx.get(stack.url(f"/events/{topic}/2/1/"), timeout=10)
    assert (absent.status_code, absent.json()["reason"]) == (404, "never")


def test_places_of_a_transaction_that_hold_no_record_say_so(kafka, stack, topic):
    """An aborted record was never written, and a marker is none."""
    producer = kafka.producer(transactional_id=f"tx-{topic}")
    producer.init_transactions(10)
    for value, end in ((b"no", producer.abort_transaction), (b"yes", producer.commit_transaction)):
        producer.begin_transaction()
        producer.produce(topic, value, partition=0)
        producer.flush(10)
        end()
    # 0: aborted, 1: its marker, 2: committed, 3: its marker
    answers = [httpx.get(stack.url(f"/events/{topic}/0/{offset}/"), timeout=10) for offset in range(5)]
    assert [answer.status_code for answer in answers] == [404, 404, 200, 404, 404]
    assert [answers[n].json()["reason"] for n in (0, 1, 3, 4)] == ["gone", "gone", "gone", "never"]
    assert answers[2].json()["value"] == "yes"
    page = httpx.get(stack.url(f"/events/{topic}/?offset=earliest&until=now&format=json"), timeout=10).json()
    assert [(record["offset"], record["value"]) for record in page["records"]] == [(2, "yes")]
    assert page["next"] is None


def test_record_that_retention_took_is_gone(kafka, stack, topic):
    """Deleted by hand is the same."""
    NumberedWriter(kafka.bootstrap, topic).write(40)
    kafka.delete_records(topic, {1: 5})
    answers = [httpx.get(stack.url(f"/events/{topic}/1/{offset}/"), timeout=10) for offset in (4, 5)]
    assert [answer.status_code for answer in answers] == [404, 200]
    assert answers[0].json()["reason"] == "gone"


def test_page_of_a_time_to_come_says_where_the_rest_will_be(kafka, stack, topic):
    """Its end is not reached before that time; after it there is no more."""
    kafka.produce(topic, b"one")
    until = int(time.time() * 1000) + 1500
    path, values = f"/events/{topic}/?offset=earliest&until={until}&format=json", []
    while path:
        page = httpx.get(stack.url(path), timeout=10).json()
        values += [record["value"] for record in page["records"]]
        if values == ["one"]:
            kafka.produce(topic, b"two")
        path = page["next"]
    assert values == ["one", "two"]
    assert time.time() * 1000 > until


@pytest.mark.parametrize("form", ["json", "ndjson"])
def test_pages_bring_every_record_once(kafka, stack, topic, form):
    """From `next` to `next`, while more is written; and the last cursor is where a stream goes on."""
    with NumberedWriter(kafka.bootstrap, topic, rate=3000) as writer:
        writer.wait_total(5000, 20)
        path, places, last = f"/events/{topic}/?offset=earliest&format={form}", [], {}
        while writer.total < 8000 or len(places) < writer.total:
            answer = httpx.get(stack.url(path), timeout=10)
            assert answer.status_code == 200
            path = answer.links["next"]["url"]
            records = (
                answer.json()["records"] if form == "json" else map(json.loads, answer.text.splitlines())
            )
            places += [(record["partition"], record["offset"]) for record in records]
            if writer.total >= 8000 and not last:
                last = writer.stop()
    assert len(places) == len(set(places)) == sum(last.values()) + len(last)
    for partition in last:
        mine = [offset for each, offset in places if each == partition]
        assert mine == sorted(mine)
