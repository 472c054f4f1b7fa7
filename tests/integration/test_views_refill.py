"""The chain: pages, refills and holds, followed to the end as a proxy follows them; every record once, in order."""

import itertools
import json
import math
import random
import re
import time

import jwt
import pytest

from kafkasse import cursor, grip, history, pages
from kafkasse.exceptions import TopicChangedError
from kafkasse.milestones import Milestones
from kafkasse.stream import Stream
from kafkasse.topics import QUIET, control_channel
from relay import chunks
from tests.fakes import ManualClock
from tests.harness.cursors import chained, channels_of, event_id, positions_of
from tests.kafkasse.fakes import FullIntake, build_id_filter
from tests.kafkasse.grip_proxy import MARK, GripProxy, ask

pytestmark = pytest.mark.integration

KEY = "of-the-proxy-and-long-enough-for-hs256"


def signature(key=KEY, seconds=60, **claims):
    """Return what a proxy with `key` writes into Grip-Sig."""
    return jwt.encode({"exp": int(time.time()) + seconds, **claims}, key, algorithm="HS256")


def numbered(partitions, count, size=20):
    """Return records that say where they stand: `count` in each partition, with a percent sign and a line end."""
    for number in range(count):
        for partition in range(partitions):
            yield partition, b"%d/%d %%I\n" % (partition, number) + b"x" * size


def items_of(topic, partition, position, records):
    """Return the items that the relay makes of records, by their partition's chain."""
    run = chunks.Run(topic, cursor.tag(topic), partition, position, records)
    return list(chunks.Chain(run.key, run.tag).items([run], [position]))


def places(events):
    """Return where each record stood, by partition, in the order in which they came."""
    found = {}
    for event in events:
        partition, number = event.data.split(" ", 1)[0].split("/")
        found.setdefault(int(partition), []).append(int(number))
        assert event.data.split("\n")[0] == f"{partition}/{number} %I"
    return found


@pytest.mark.parametrize(
    ("partitions", "count", "size"),
    [
        (1, 50, 20),
        (1, 3000, 60),
        (3, 1000, 60),
        (3, 40, 5000),
        (100, 30, 20),
        (100, 12, 500),
        (1, 3, 150_000),
    ],
)
@pytest.mark.parametrize("page_bytes", [20_000, 400_000])
def test_catch_up_every_record_once_in_order(cluster, topic, settings, partitions, count, size, page_bytes):  # noqa: PLR0917
    """From the beginning to the live stream, through as many pages as it takes."""
    settings.KAFKASSE_PAGE_BYTES = page_bytes
    cluster.create_topic(topic, partitions)
    cluster.write(topic, numbered(partitions, count, size))
    cluster.commit(topic, dict.fromkeys(range(partitions), count))
    proxy = GripProxy().open(topic, Last_Event_ID=event_id(topic, dict.fromkeys(range(partitions), 0)))
    assert places(proxy.records()) == {partition: list(range(count)) for partition in range(partitions)}
    assert MARK not in proxy.text
    notices = [event.type for event in proxy.events if event.type.startswith("stream-")]
    assert notices in (["stream-open"], ["stream-open", "stream-heartbeat"])
    assert proxy.positions == dict.fromkeys(range(partitions), count)
    assert positions_of(proxy.events[-1].id) == proxy.positions
    # The proxy refuses a larger body where it filters.
    assert all(len(answer.body) < 100_000 for answer in proxy.answers[:1] if answer.holds)


def test_catch_up_any_cursor_on_the_way_resumes_exactly(cluster, topic, settings):
    """A connection that breaks in the middle of a page loses nothing."""
    settings.KAFKASSE_PAGE_BYTES = 5000
    cluster.create_topic(topic, 3)
    cluster.write(topic, numbered(3, 100))
    cluster.commit(topic, dict.fromkeys(range(3), 100))
    events = GripProxy().open(topic, Last_Event_ID=event_id(topic, {0: 0, 1: 0, 2: 0})).records()
    for number in random.Random(7).sample(range(300), 8):  # noqa: S311
        again = GripProxy().open(topic, Last_Event_ID=events[number].id).records()
        seen = places(events[: number + 1])
        expected = {p: list(range(len(seen.get(p, [])), 100)) for p in range(3)}
        assert places(again) == {p: rest for p, rest in expected.items() if rest}


def test_catch_up_pages_have_no_hold_and_a_link_without_query(cluster, topic, settings):
    """Everything that decides the answer stands in the path, which splits no header."""
    settings.KAFKASSE_PAGE_BYTES = 20_000
    cluster.create_topic(topic, 2)
    cluster.write(topic, numbered(2, 1000))
    cluster.commit(topic, {0: 1000, 1: 1000})
    proxy = GripProxy().open(topic, Last_Event_ID=event_id(topic, {0: 0, 1: 0}))
    pages = [answer for answer in proxy.answers if not answer.holds]
    assert len(pages) > 3
    for page in pages:
        assert not {"Grip-Channel", "Grip-Set-Meta", "Grip-Keep-Alive"} & set(page.headers)
        assert page.timeout is None
        assert not set(page.link) & set(",;?%<> ")


def test_catch_up_joins_by_subscribing_before_it_reads_the_rest(cluster, topic, settings):
    """Between the last page and the hold nothing may slip through."""
    settings.KAFKASSE_PAGE_BYTES = 20_000
    cluster.create_topic(topic, 1)
    cluster.write(topic, numbered(1, 1000))
    cluster.commit(topic, {0: 1000})
    proxy = GripProxy().open(topic, Last_Event_ID=event_id(topic, {0: 0}))
    joined = next(answer for answer in proxy.answers if answer.holds)
    assert (joined.timeout, joined.body) == (0, b"")
    assert joined.positions[0] < 1000
    assert proxy.answers[-1].timeout == 29


def test_catch_up_that_is_complete_asks_again_once_it_is_subscribed(cluster, topic):
    """An item may come between the last look at the log and the hold, with which the proxy does not compare it."""
    cluster.create_topic(topic, 1)
    cluster.write(topic, numbered(1, 100, 1000))
    cluster.commit(topic, {0: 100})
    proxy = GripProxy().open(topic, Last_Event_ID=event_id(topic, {0: 0}))
    page, joined, held = proxy.answers
    assert not page.holds
    assert page.text.count("event: message\n") == 100
    assert (joined.body, joined.positions, joined.timeout) == (b"", {0: 100}, 0)
    assert (held.positions, held.timeout) == ({0: 100}, 29)


def test_catch_up_of_a_crowd_waits_in_a_hold_on_nothing(cluster, topic, monkeypatch):
    """What is published meanwhile is none of its business; then it begins where its cursor was."""
    full = FullIntake()
    monkeypatch.setattr("kafkasse.views.intake", lambda: full)
    cluster.create_topic(topic, 1)
    cluster.write(topic, numbered(1, 100, 1000))
    cluster.commit(topic, {0: 100})
    proxy = GripProxy().open(topic, Last_Event_ID=event_id(topic, {0: 0}))
    waits, *_others = proxy.answers
    assert list(waits.channels) == ["~"]
    assert waits.timeout == 7
    assert waits.headers["Grip-Keep-Alive"]
    assert [event.type for event in waits.events] == ["stream-open"]
    assert not proxy.records()
    (size,) = full.sizes
    assert 100_000 < size < 110_000
    # What it gets then is for those who are at the same place, in the same lane; the link is for all who wait.
    assert re.fullmatch(f"/next/begin/{topic}/l[0-3]/", waits.link)
    again = GripProxy().open(topic, waits.link, Grip_Last=f"~; last-id={waits.places['~']}")
    assert places(again.records()) == {0: list(range(100))}


@pytest.fixture
def crowded(cluster, topic, settings, monkeypatch):
    """Return a topic with many small pages before its end, where whoever comes has to wait."""
    monkeypatch.setattr("kafkasse.views.intake", FullIntake)
    monkeypatch.setattr("kafkasse.answers.JOIN_BYTES", 5000)
    settings.KAFKASSE_PAGE_BYTES = 20_000
    cluster.create_topic(topic, 1)
    cluster.write(topic, numbered(1, 200, 1000))
    cluster.commit(topic, {0: 200})
    return topic


def after(waits):
    """Return what the proxy gets when it comes for a client that has waited."""
    return ask(waits.link, Grip_Last=f"~; last-id={waits.places['~']}")


def test_catch_up_of_a_crowd_whose_places_differ_has_few_links(crowded, monkeypatch):
    """The proxy comes for ten links in a second; pages are shared by some of those who are at the same place."""
    due = itertools.cycle([FullIntake(seconds=7), FullIntake(seconds=8)])
    monkeypatch.setattr("kafkasse.views.intake", lambda: next(due))
    lanes, links = set(), set()
    for at in range(60):
        waits = ask(f"/events/{crowded}/", Last_Event_ID=event_id(crowded, {0: at}))
        (place,) = waits.places.values()
        assert place.startswith(f"{event_id(crowded, {0: at})}_l")
        lanes.add(place.rpartition("_")[2])
        links.add(waits.link)
        page = after(waits)
        assert page.events[0].data.startswith(f"0/{at} ")
        assert page.places["~"].rpartition("_")[2] == place.rpartition("_")[2]
    assert len(links) == 4
    assert len(lanes) > 8


def test_pages_of_a_crowd_come_with_pauses(crowded):
    """A request that fails while its client still takes the page before would be made twice, and the next page sent twice."""
    answer = ask(f"/events/{crowded}/", Last_Event_ID=event_id(crowded, {0: 0}))
    lane, answers = answer.places["~"].rpartition("_")[2], [answer]
    while "~" in answer.places and len(answers) < 20:
        answer = after(answer)
        answers.append(answer)
    *pages, held = answers
    assert [page.timeout for page in pages] == [7] + [1] * (len(pages) - 1)
    assert {page.link for page in pages} == {pages[0].link}
    # The last of a page's readers may share what is left to the hold with all others.
    assert {page.places["~"].partition("_")[2] for page in pages[:-1]} == {lane}
    assert "_" not in pages[-1].places["~"]
    assert (held.body, held.timeout) == (b"", 0)
    records = [event for page in pages for event in page.events if event.type == "message"]
    assert len(records) == held.positions[0] > 190


def test_pages_of_a_replay_that_came_in_a_crowd_come_without_pauses(crowded, monkeypatch):
    """It would never end: a page a second.  It gives way in another manner, which the proxy's answers tell."""
    monkeypatch.setattr("kafkasse.views.NEAR_BYTES", 50_000)
    page = after(ask(f"/events/{crowded}/", Last_Event_ID=event_id(crowded, {0: 0})))
    assert not page.holds
    assert page.link.startswith(f"/next/events/{crowded}/")


def test_pages_of_a_crowd_come_without_pauses_where_the_topic_is_fast(crowded, growing):
    """With a page a second it would fall behind."""
    growing(crowded, 20)
    page = after(ask(f"/events/{crowded}/", Last_Event_ID=event_id(crowded, {0: 0})))
    assert not page.holds
    assert page.link.startswith(f"/next/events/{crowded}/")


def test_small_pages_of_a_crowd_that_were_read_as_one_come_without_pauses(crowded, monkeypatch):
    """They are taken at once."""
    monkeypatch.setattr("kafkasse.pages.SHARED_BYTES", 5000)
    page = after(ask(f"/events/{crowded}/", Last_Event_ID=event_id(crowded, {0: 0})))
    assert not page.holds
    assert len(page.body) <= 5000
    assert page.link.startswith(f"/next/events/{crowded}/")


@pytest.fixture
def growing(monkeypatch):
    """Return a function that has a topic of one partition grow by so many records a second, as look-ups tell."""

    def grow(topic, speed, begin=0):
        clock = ManualClock()
        found = Milestones(clock)
        monkeypatch.setattr("kafkasse.milestones.RECORDS", 0)
        monkeypatch.setattr("kafkasse.views.milestones", lambda: found)
        for second in range(5):
            found.passed(((cursor.tag(topic),), None), {(topic, 0): begin + speed * second})
            clock.advance(1)

    return grow


def test_pages_of_clients_at_different_places_end_at_the_same(cluster, topic, growing):
    """From there on, they are read and written once for all."""
    cluster.create_topic(topic, 1)
    cluster.write(topic, numbered(1, 500, 1000))
    cluster.commit(topic, {0: 500})
    growing(topic, 100, begin=100)
    for place, milestone in ((0, 100), (99, 100), (100, 200), (101, 200), (399, 400)):
        proxy = GripProxy().open(topic, Last_Event_ID=event_id(topic, {0: place}))
        first = proxy.answers[0]
        assert first.link.split("/")[4] == event_id(topic, {0: milestone})
        assert places(proxy.records()) == {0: [*range(place, 500)]}


@pytest.fixture
def two_sizes(settings, monkeypatch):
    """Have pages of two sizes, and topics that are fast from 10 kB/s on."""
    settings.KAFKASSE_PAGE_BYTES = 20_000
    monkeypatch.setattr("kafkasse.pages.SHARED_BYTES", 5000)
    monkeypatch.setattr("kafkasse.pages.FAST_BYTES", 10_000)


@pytest.mark.usefixtures("two_sizes")
@pytest.mark.parametrize(
    ("age", "speed", "most"),
    [(0, None, 20_000), (60, None, 5000), (0, 0, 5000), (0, 5, 5000), (60, 5, 5000), (60, 40, 20_000)],
    ids=[
        "new, written at once",
        "old, written at once",
        "new, has come to a stop",
        "new, grows slowly",
        "old, grows slowly",
        "old, grows fast",
    ],
)
def test_pages_are_small_unless_the_topic_is_fast_now(cluster, topic, growing, age, speed, most):
    """How fast it was when its past was written says nothing of what its clients have to catch up with."""
    cluster.create_topic(topic, 1)
    cluster.write(topic, numbered(1, 200, 1000), time=int((time.time() - age) * 1000))
    cluster.commit(topic, {0: 200})
    if speed is not None:
        growing(topic, speed, begin=200 - 4 * speed)
    page = ask(f"/next/events/{topic}/{event_id(topic, {0: 0})}/")
    assert most * 3 // 4 < len(page.body) <= most


def test_replay_waits_for_its_turn_no_longer_than_the_topic_takes_to_grow_by_a_quarter_of_the_page(
    cluster, topic, settings, monkeypatch, growing
):
    """Else it would never come to the end, however long it goes on."""
    full = FullTurns()
    monkeypatch.setattr("kafkasse.turns.turns", lambda: full)
    monkeypatch.setattr("kafkasse.views.NEAR_BYTES", 10_000)
    settings.KAFKASSE_PAGE_BYTES = 20_000
    cluster.create_topic(topic, 1)
    cluster.write(topic, numbered(1, 200, 1000))
    cluster.commit(topic, {0: 200})
    path = f"/next/events/{topic}/{event_id(topic, {0: 0})}/"
    ask(path)
    growing(topic, 40, begin=40)
    ask(path)
    assert full.longest == [math.inf, pytest.approx(18 / (160 / 5) / 4)]


def test_begin_without_a_place_is_a_stream_like_any(cluster, topic, keyed):
    """Whoever asks for it by itself, or says where it waited without the proxy's signature, learns nothing by it."""
    cluster.create_topic(topic, 1)
    cluster.write(topic, numbered(1, 10, 1000))
    cluster.commit(topic, {0: 10})
    link, last = f"/next/begin/{topic}/l1/", f"~; last-id={event_id(topic, {0: 0})}_l1"
    assert [event.type for event in ask(link).events] == ["stream-open"]
    assert [event.type for event in ask(link, Grip_Last=last).events] == ["stream-open"]
    assert len(ask(link, Grip_Last=last, Grip_Sig=signature()).events) == 0
    assert ask(link, Grip_Last=last, Grip_Sig=signature()).positions == {0: 0}


@pytest.mark.parametrize("place", ["x", "{0}_l", "{0}_x1", "{0}_l1_l2", "{0}~", "_l1"])
def test_begin_at_no_place_is_not_found(cluster, topic, place):
    """Nobody but the application writes them."""
    cluster.create_topic(topic, 1)
    cluster.commit(topic, {0: 0})
    place = place.format(event_id(topic, {0: 0}))
    assert ask(f"/next/begin/{topic}/", Grip_Last=f"~; last-id={place}").status == 404


def test_catch_up_of_a_crowd_that_misses_little_is_held_at_once(cluster, topic, monkeypatch):
    """Only pages take time."""
    monkeypatch.setattr("kafkasse.views.intake", FullIntake)
    cluster.create_topic(topic, 1)
    cluster.write(topic, numbered(1, 10, 1000))
    cluster.commit(topic, {0: 10})
    proxy = GripProxy().open(topic, Last_Event_ID=event_id(topic, {0: 0}))
    assert places(proxy.records()) == {0: list(range(10))}
    assert proxy.positions == {0: 10}


def test_catch_up_of_a_replay_takes_the_time_of_one_that_comes_back(cluster, topic, settings, monkeypatch):
    """The rest of it gives way page by page, and a crowd shall not wait for that."""
    full = FullIntake()
    monkeypatch.setattr("kafkasse.views.intake", lambda: full)
    monkeypatch.setattr("kafkasse.views.NEAR_BYTES", 10_000)
    cluster.create_topic(topic, 1)
    cluster.write(topic, numbered(1, 100, 1000))
    cluster.commit(topic, {0: 100})
    GripProxy().open(topic, Last_Event_ID=event_id(topic, {0: 0}))
    assert full.sizes == [10_000]


class FullTurns:
    """Turns for which too many wait already."""

    def __init__(self):
        self.longest = []

    def take(self, _size, longest):
        """Refuse."""
        self.longest.append(longest)
        return False


@pytest.mark.parametrize(
    ("size", "count", "seconds", "most"),
    [
        (9_000, 100, 60, 190_000),
        (70_000, 4, 0, 190_000),
        (9_000, 100, 0, 1_000_000),
        (400, 2250, 60, 190_000),
        (400, 2250, 1, 1_000_000),
    ],
    ids=["few and slow", "a burst", "fast", "many and slow", "many and fast"],
)
def test_refill_of_a_slow_topic_comes_in_small_pages(cluster, topic, size, count, seconds, most):
    """The proxy reads no further for those who share a longer answer when the slowest of them goes."""
    now = int(time.time() * 1000)
    cluster.create_topic(topic, 1)
    cluster.commit(topic, {0: 0})
    proxy = GripProxy().open(topic)
    for number in range(count):
        when = now - 1000 * seconds * (count - number) // count
        cluster.write(topic, [(0, b"%d " % number + b"x" * size)], time=when)
    cluster.commit(topic, {0: count})
    proxy.refill()
    assert [int(event.data.split()[0]) for event in proxy.records()] == list(range(count))
    largest = max(len(answer.body) for answer in proxy.answers)
    assert most / 2 < largest <= most


def test_small_pages_are_read_as_one(cluster, topic, monkeypatch):
    """Each is a request, but not each a read of Kafka."""
    reads = []
    read = history.page
    monkeypatch.setattr(
        "kafkasse.history.page", lambda *args, **more: reads.append(args) or read(*args, **more)
    )
    cluster.create_topic(topic, 1)
    cluster.commit(topic, {0: 0})
    proxy = GripProxy().open(topic)
    for number in range(100):
        cluster.write(topic, [(0, b"%d " % number + b"x" * 9000)], time=number * 600)
    cluster.commit(topic, {0: 100})
    proxy.refill()
    assert [int(event.data.split()[0]) for event in proxy.records()] == list(range(100))
    sizes = [len(answer.body) for answer in proxy.answers if answer.body.count(b"event: message")]
    assert len(sizes) >= 5
    assert max(sizes) <= 190_000
    assert len(reads) <= 2


def test_catch_up_pages_are_for_one_client_each(cluster, topic, settings, monkeypatch):
    """A large page goes as fast as the slowest of those who share it, and no further when that one goes.

    Those for whom the hold comes next share that answer, and those who are held all.
    """
    monkeypatch.setattr("kafkasse.answers.JOIN_BYTES", 5000)
    settings.KAFKASSE_PAGE_BYTES = 20_000
    cluster.create_topic(topic, 1)
    cluster.write(topic, numbered(1, 1000))
    cluster.commit(topic, {0: 1000})
    lanes = set()
    for _ in range(20):
        proxy = GripProxy().open(topic, Last_Event_ID=event_id(topic, {0: 0}))
        *pages_before, last = [answer for answer in proxy.answers if not answer.holds]
        found = {re.search("/l([0-9a-z]+)/$", answer.link)[1] for answer in pages_before}
        assert len(found) == 1, "a replay stays in its lane"
        assert not found & lanes, "and is alone there"
        lanes |= found
        assert last.link == f"/next/events/{topic}/{event_id(topic, {0: 1000})}/"
        assert {answer.link for answer in proxy.answers if answer.holds} == {f"/next/events/{topic}/s/"}


def test_follow_behind_too_many_replays_is_told_to_come_back(cluster, topic, settings, monkeypatch):
    """It comes with its cursor, in a while; one that is nearly there is let through."""
    monkeypatch.setattr("kafkasse.turns.turns", FullTurns)
    monkeypatch.setattr("kafkasse.views.NEAR_BYTES", 10_000)
    settings.KAFKASSE_PAGE_BYTES = 20_000
    cluster.create_topic(topic, 1)
    cluster.write(topic, numbered(1, 1000))
    cluster.commit(topic, {0: 1000})
    answer = ask(f"/next/events/{topic}/{event_id(topic, {0: 0})}/")
    assert re.fullmatch("retry: [0-9]{4}\n\n", answer.body.decode())
    assert not answer.holds
    assert "Grip-Link" not in answer.headers
    assert ask(f"/next/events/{topic}/{event_id(topic, {0: 900})}/").holds


def test_follow_behind_too_many_replays_lets_through_who_has_not_much_before_it(
    cluster, topic, settings, monkeypatch
):
    """It is coming back, and shall be live again before it has fallen behind once more."""
    monkeypatch.setattr("kafkasse.turns.turns", FullTurns)
    settings.KAFKASSE_PAGE_BYTES = 20_000
    cluster.create_topic(topic, 1)
    cluster.write(topic, numbered(1, 1000))
    cluster.commit(topic, {0: 1000})
    answer = ask(f"/next/events/{topic}/{event_id(topic, {0: 0})}/")
    assert len(answer.events) > 100
    assert not answer.holds


def test_follow_beyond_the_log_says_so_and_holds(cluster, topic):
    """A page's link that has grown old tells of the break."""
    cluster.create_topic(topic, 1)
    cluster.commit(topic, {0: 0})
    proxy = GripProxy().open(topic, f"/next/events/{topic}/{event_id(topic, {0: 9})}/")
    assert [event.type for event in proxy.events] == ["stream-reset", "stream-heartbeat"]
    assert proxy.positions == {0: 0}


@pytest.fixture
def held(cluster, topic):
    """Hold a client, and let the relay go on by ten records without telling it."""
    cluster.create_topic(topic, 2)
    cluster.commit(topic, {0: 0, 1: 0})
    proxy = GripProxy().open(topic)
    cluster.write(topic, numbered(2, 5))
    cluster.commit(topic, {0: 5, 1: 5})
    return proxy


def test_refill_gives_what_the_client_misses(held):
    """A lost publish is repaired from the log, in a hold whose body the proxy filters."""
    held.refill()
    assert places(held.records()) == {0: [0, 1, 2, 3, 4], 1: [0, 1, 2, 3, 4]}
    assert held.positions == {0: 5, 1: 5}
    assert held.answers[-1].headers["Content-Type"] == "text/event-stream"


def beats(client):
    """Return the heartbeats that a client got: what they say, and the positions that their ids stand for."""
    found = [event for event in client.events if event.type == "stream-heartbeat"]
    return [(json.loads(event.data), positions_of(event.id)) for event in found]


def test_refill_up_to_date_is_a_heartbeat(held):
    """What the proxy asks every 29 seconds is cheap; the client hears that it lacks nothing."""
    held.refill()
    count, before = len(held.records()), time.time()
    held.refill()
    *_, (said, places_said) = beats(held)
    assert (said["lag"], said["ms"], places_said) == (0, 0, held.positions)
    assert before <= said["time"] / 1000 + 0.001 <= time.time() + 0.001
    assert len(held.records()) == count
    assert f"event: stream-heartbeat\nid: {event_id(held.topic, held.positions)}\ndata: " in held.text


def test_heartbeat_of_a_relay_that_is_behind_says_by_how_much(cluster, held):
    """A page can say "live", or "twelve seconds behind"."""
    held.refill()
    written = int(time.time() * 1000) - 12_000
    cluster.write(held.topic, [(1, b"1/5 %I\n"), (1, b"1/6 %I\n"), (0, b"0/5 %I\n")], time=written)
    held.refill()
    *_, (said, places_said) = beats(held)
    assert (said["lag"], places_said) == (3, held.positions)
    assert 12_000 <= said["ms"] <= 20_000


def test_heartbeat_of_another_pace_stands_in_the_links(relayed_topic):
    """And survives a reconnect; two paces do not share their answers."""
    client = GripProxy().open(relayed_topic, f"/events/{relayed_topic}/?heartbeat=7")
    assert (client.answers[-1].link, client.answers[-1].timeout) == (f"/next/events/{relayed_topic}/h7_s/", 7)
    client.refill()
    assert len(beats(client)) == 1
    assert client.answers[-1].timeout == 7
    last = client.events[-1].id
    for query, seconds in (("heartbeat=9", 9), ("heartbeat=never&until=soon", 29)):
        back = GripProxy().open(relayed_topic, f"/events/{relayed_topic}/?{query}", Last_Event_ID=last)
        assert back.answers[-1].timeout == seconds


@pytest.fixture
def relayed_topic(cluster, topic):
    """Make a topic that the relay has published all of."""
    cluster.create_topic(topic, 1)
    cluster.write(topic, [(0, b"x")])
    cluster.commit(topic, {0: 1})
    return topic


def test_refill_more_than_a_page_goes_on_in_pages(held, settings):
    """A client that is far behind gets pages, the first of them filtered, the others not."""
    settings.KAFKASSE_PAGE_BYTES = 200
    held.refill()
    assert places(held.records()) == {0: [0, 1, 2, 3, 4], 1: [0, 1, 2, 3, 4]}
    assert sum(not answer.holds for answer in held.answers) >= 2


def test_refill_one_link_for_all_holders(held, topic):
    """The proxy shares requests by their path."""
    assert held.answers[-1].link == f"/next/events/{topic}/s/"


def test_refill_aligns_with_the_relays_next_item(cluster, held, topic):
    """The hold stands where the next item begins, so that item reaches it."""
    held.refill()
    records = [(5, b"live %", None, None), (6, b"live %I", None, None)]
    (item,) = items_of(topic, 0, 5, records)
    published = json.loads(item.body)
    assert held.answers[-1].channels[published["channel"]]["prev-id"] == published["prev-id"]
    assert build_id_filter(published["formats"]["http-stream"]["content"], "7.5").endswith(
        "data: live %I\n\n"
    )


def test_refill_new_partition_joins_the_hold(cluster, topic):
    """The next answer names more channels, from the beginning of the new log."""
    proxy = GripProxy().open(topic)
    cluster.create_topic(topic, 2)
    cluster.write(topic, numbered(2, 3))
    cluster.commit(topic, {0: 3})
    proxy.refill()
    assert places(proxy.records()) == {0: [0, 1, 2]}
    assert proxy.positions == {0: 3, 1: 0}
    # What comes on its channel before the client is subscribed there would be missed until the next item.
    assert [answer.timeout for answer in proxy.answers[-2:]] == [0, 29]
    cluster.commit(topic, {1: 3})
    proxy.refill()
    assert places(proxy.records()) == {0: [0, 1, 2], 1: [0, 1, 2]}


def test_refill_topic_created_again_joins_its_channels(held, topic):
    """They are others than those of the old one; what comes there before the client is subscribed would be missed."""
    held.places = {name.replace(cursor.tag(topic), cursor.tag("x")): at for name, at in held.places.items()}
    held.refill()
    assert held.places.keys() == set(channels_of(topic, (0, 1))) - {control_channel(topic), QUIET}
    assert [answer.timeout for answer in held.answers[-2:]] == [0, 29]


def test_refill_retention_took_what_is_missing_says_so(cluster, held, topic):
    """A held client that is too slow learns what it has lost."""
    cluster.forget_before(topic, 0, 3)
    held.refill()
    reset = held.events[1]
    assert reset.type == "stream-reset"
    assert json.loads(reset.data) == {
        "reason": "retention",
        "topic": topic,
        "partition": 0,
        "requested": 0,
        "resumed": 3,
    }
    assert places(held.records()) == {0: [3, 4], 1: [0, 1, 2, 3, 4]}
    assert positions_of(reset.id) == {0: 3, 1: 0}


def test_page_of_a_topic_that_was_created_again_meanwhile_is_none(cluster, held, topic):
    """What is gone from the log of another topic of the name says nothing of the one that was asked for."""
    cluster.forget_before(topic, 0, 3)
    stream = Stream((topic,)).tagged({topic: cursor.tag(topic)})
    start, stop = {(topic, 0): 0}, {(topic, 0): 5}
    assert len(pages.read(stream, start, stop, 10_000).records) == 2
    with pytest.raises(TopicChangedError):
        pages.read(stream.tagged({topic: cursor.tag(topic, "id of once")}), start, stop, 10_000)


@pytest.fixture
def keyed(settings):
    """Give the proxy a key."""
    settings.GRIP_PROXIES = grip.proxies(f"http://localhost:5561?key={KEY}")


LAST = "{0}:0; last-id=3, {0}:1; last-id=5"


def test_refill_without_keys_takes_the_positions_as_given(held, topic):
    """They can do no more than choose a place in a topic that may be read anyway."""
    answer = ask(f"/next/events/{topic}/", Grip_Last=LAST.format(chained(topic)))
    assert [event.data.split(" ")[0] for event in answer.events] == ["0/3", "0/4"]


def test_refill_with_keys_takes_signed_positions(held, topic, keyed):
    """The proxy's own."""
    answer = ask(f"/next/events/{topic}/", Grip_Last=LAST.format(chained(topic)), Grip_Sig=signature())
    assert [event.data.split(" ")[0] for event in answer.events] == ["0/3", "0/4"]
    assert answer.holds


def test_refill_with_keys_ignores_unsigned_positions(held, topic, keyed):
    """A client's own Grip-Last is not believed: it gets a fresh stream."""
    answer = ask(f"/next/events/{topic}/", Grip_Last=LAST.format(chained(topic)))
    assert [event.type for event in answer.events] == ["stream-open"]
    assert answer.positions == {0: 5, 1: 5}


def test_refill_with_a_verify_key_takes_its_signature(held, topic, settings):
    """Verification by a key and an issuer of its own."""
    settings.GRIP_PROXIES = grip.proxies(f"http://localhost:5561?verify-key={KEY}&verify-iss=me")
    path = f"/next/events/{topic}/"
    answer = ask(path, Grip_Last=LAST.format(chained(topic)), Grip_Sig=signature(iss="me"))
    assert answer.positions == {0: 5, 1: 5}
    assert len(answer.events) == 2
    other = ask(path, Grip_Last=LAST.format(chained(topic)), Grip_Sig=signature(iss="you"))
    assert other.events == []
    assert not other.holds


@pytest.mark.parametrize("path", ["/events/{}/", "/next/events/{}/", "/next/events/{}/{}/"])
@pytest.mark.parametrize(
    "forged",
    [signature("another key of thirty-two characters"), signature(seconds=-60), "nonsense", "a.b.c", ""],
    ids=["other key", "expired", "nonsense", "dots", "empty"],
)
def test_forged_signature_gets_no_stream(held, topic, keyed, path, forged):
    """It is neither the proxy nor an ordinary client: it may come back, with nothing."""
    answer = ask(
        path.format(topic, event_id(topic, {0: 0, 1: 0})),
        Grip_Last=LAST.format(chained(topic)),
        Grip_Sig=forged,
    )
    assert (answer.status, answer.holds, answer.events) == (200, False, [])
    assert 2000 <= answer.retry <= 5000
    assert "Grip-Link" not in answer.headers


@pytest.mark.parametrize(
    "last",
    [
        "x",
        ";",
        ",,,",
        "=",
        "{0}:0",
        "{0}:0; last-id=",
        "{0}:0; last-id=-1",
        "{0}:0; last-id=ZZZ",
        "{0}:0; last-id=1y2p0ij32e8e8",
        "{0}:999999999999; last-id=1",
        "{0}:~; last-id=1",
        "other:0; last-id=1",
        '{0}:0; last-id="',
        "{0}:0; last-id*=utf-8''%00",
        "{0}:0; last-id=" + "1" * 5000,
        "\xff:0; last-id=\xff",
    ],
    ids=lambda text: ascii(text[:30]),
)
def test_refill_malformed_positions_are_left_aside(held, topic, last):
    """Never an error of ours."""
    answer = ask(f"/next/events/{topic}/", Grip_Last=last.format(chained(topic)))
    assert answer.status == 200
    assert set(answer.positions) == {0, 1}


def test_refill_foreign_partition_is_not_held(held, topic):
    """Only the topic's own channels are named in the answer."""
    answer = ask(
        f"/next/events/{topic}/",
        Grip_Last=f"{chained(topic)}:0; last-id=5, {chained(topic)}:7; last-id=1, {chained('other')}:1; last-id=2",
    )
    assert set(answer.channels) == set(channels_of(topic, (0, 1)))


def test_refill_with_a_prefix_knows_its_channels(held, topic, settings):
    """The prefix is taken off again."""
    settings.GRIP_PREFIX = "mine-"
    last = f"mine-{chained(topic)}:0; last-id=4, mine-{chained(topic)}:1; last-id=5"
    answer = ask(f"/next/events/{topic}/", Grip_Last=last)
    assert [event.data.split(" ")[0] for event in answer.events] == ["0/4"]
    assert set(answer.channels) == set(channels_of(topic, (0, 1), "mine-"))


@pytest.mark.parametrize("seed", range(4))
def test_chain_any_order_of_publishing_and_committing_delivers_once(cluster, topic, seed):
    """A relay that publishes and then commits, clients that come whenever, publishes that get lost: nothing is."""
    chance, clients, written = random.Random(seed), [], [0, 0, 0]  # noqa: S311
    published = [0, 0, 0]
    cluster.create_topic(topic, 3)
    for _ in range(60):
        step = chance.choice(["write", "write", "publish", "publish", "lose", "join", "refill"])
        partition = chance.randrange(3)
        if step == "write":
            count = chance.randrange(1, 4)
            cluster.write(
                topic, [(partition, b"%d/%d %%I" % (partition, written[partition] + n)) for n in range(count)]
            )
            written[partition] += count
        elif step in {"publish", "lose"} and published[partition] < written[partition]:
            run = [
                (n, b"%d/%d %%I" % (partition, n), None, None)
                for n in range(published[partition], written[partition])
            ]
            for item in items_of(topic, partition, published[partition], run):
                for client in clients if step == "publish" else ():
                    client.deliver(json.loads(item.body))
                published[partition] = item.positions[topic, partition]
            cluster.commit(topic, {partition: published[partition]})
        elif step == "join":
            clients.append(GripProxy().open(topic, Last_Event_ID=event_id(topic, {0: 0, 1: 0, 2: 0})))
        elif step == "refill" and clients:
            chance.choice(clients).refill()
    for client in clients:
        client.refill()
        expected = {p: list(range(published[p])) for p in range(3) if published[p]}
        assert places(client.records()) == expected
        assert client.positions == dict(enumerate(published))


@pytest.mark.parametrize("size", [1, 400_000])
def test_catch_up_empty_values_and_tombstones_are_records_too(cluster, topic, settings, size):
    """A value of nothing is not nothing: each comes, in its place, with its type."""
    settings.KAFKASSE_PAGE_BYTES = size
    cluster.create_topic(topic, 1)
    cluster.write(topic, [(0, value) for value in (b"", None, b"\xff", b"", b"x", None, b"")])
    cluster.commit(topic, {0: 7})
    proxy = GripProxy().open(topic, Last_Event_ID=event_id(topic, {0: 0}))
    kinds = ["message", "tombstone", "binary", "message", "message", "tombstone", "message"]
    assert [event.type for event in proxy.records()] == kinds
    assert [event.data for event in proxy.records()] == [
        "",
        '{"key":null}',
        "/w==",
        "",
        "x",
        '{"key":null}',
        "",
    ]
    assert proxy.positions == {0: 7}


def test_held_topic_that_outgrows_the_proxy_ends_and_is_not_replayed(held, settings):
    """The proxy would cut the list in silence, and the rest be sent from its beginning each time it asks."""
    settings.KAFKASSE_MAX_CHANNELS = 3
    for path in (
        held.answers[-1].link,
        f"/next/events/{held.topic}/{event_id(held.topic, {0: 0, 1: 0})}/",
    ):
        answer = ask(path, Grip_Last=held.last())
        assert (answer.status, answer.holds) == (200, False)
        assert answer.text == f"retry: {answer.retry}\n\n"
        assert "Grip-Link" not in answer.headers


@pytest.mark.parametrize("position", [5, 10])
def test_log_that_was_cut_short_of_the_commit_gives_what_it_has(cluster, topic, position):
    """An unclean election: the relay's position is ahead of the log, and the page ends at the log's end, in time."""
    cluster.create_topic(topic, 1)
    cluster.write(topic, numbered(1, 10))
    cluster.commit(topic, {0: 100})
    began = time.monotonic()
    proxy = GripProxy().open(topic, Last_Event_ID=event_id(topic, {0: position}))
    assert time.monotonic() - began < 1.5
    assert places(proxy.records()).get(0, []) == list(range(position, 10))
    assert proxy.positions == {0: 10}
