"""A topic that one relay has as a whole: held by one channel, by its vector, and without filters (ADR 26)."""

import json
import random
import re
import time

import pytest

from kafkasse import cursor
from kafkasse.topics import channel
from relay import chunks
from relay.chunks import Chain, Run
from tests.harness.cursors import chained, channels_of, event_id, positions_of
from tests.harness.wait import until
from tests.kafkasse.grip_proxy import MARK, GripProxy, ask

pytestmark = pytest.mark.integration

PERCENT = "100 % %I %% %(x)s"
"""What the proxy's filter would change."""


@pytest.fixture
def relayed(cluster, topic):
    """Make a topic of two partitions, which one relay has, and has published all of."""
    cluster.create_topic(topic, 2)
    cluster.write(topic, [(number % 2, f"{number} {PERCENT}".encode()) for number in range(80)])
    cluster.commit(topic, {0: 40, 1: 40}, whole=True)
    return topic


def seen(answer):
    """Return the numbers of an answer's records, whose text has come as it was written."""
    numbers = [event.data.split(" ", 1)[0] for event in answer.events if event.type == "message"]
    assert all(f"{number} {PERCENT}\n" in answer.text for number in numbers)
    return [int(number) for number in numbers]


def sealed(answer):
    """Return the same of an answer that the proxy will filter."""
    assert answer.is_sealed
    return seen(answer)


def plain(answer):
    """Return the same of an answer that it will pass on as it is."""
    assert not answer.is_sealed
    return seen(answer)


# --- The hold -----------------------------------------------------------------------------------------------------


def test_fresh_is_a_hold_by_one_channel_at_the_vector(relayed):
    """And the control channel, by which it is told when that is over; nothing is to be filtered or filled in."""
    answer = ask(f"/events/{relayed}/")
    assert answer.headers["Grip-Hold"] == "stream"
    assert answer.headers["Grip-Channel"] == f"{chained(relayed)}:all; prev-id=14.14, {relayed}:~"
    assert "Grip-Set-Meta" not in answer.headers
    assert answer.headers["Grip-Link"] == f"</next/events/{relayed}/w/>; rel=next; timeout=29"
    assert answer.headers["Grip-Keep-Alive"] == ":\\n\\n; format=cstring; timeout=37"


@pytest.mark.parametrize(("terms", "quiet"), [("w", []), ("h5_w", []), ("u{later}_w", ["~"])])
def test_refill_of_a_stream_with_an_end_has_a_channel_on_which_nothing_comes(relayed, terms, quiet):
    """The proxy asks at that time however much comes on the others."""
    later = cursor.encode_number(int(time.time() * 1000) + 60_000)
    last = f"{chained(relayed)}:all; last-id=14.14"
    answer = ask(f"/next/events/{relayed}/{terms.format(later=later)}/", Grip_Last=last)
    assert list(answer.channels) == [f"{chained(relayed)}:all", f"{relayed}:~", *quiet]


def test_fresh_prefix_stands_before_the_channels(relayed, settings):
    """A deployment that shares its proxy has names of its own."""
    settings.GRIP_PREFIX = "mine-"
    assert list(ask(f"/events/{relayed}/").channels) == [f"mine-{chained(relayed)}:all", f"mine-{relayed}:~"]


def test_fresh_vector_is_in_the_order_of_the_partitions(cluster, topic):
    """As the relay writes it: the hold stands where the topic's next item begins."""
    cluster.create_topic(topic, 12)
    places = {each: each + 30 for each in range(12)}
    for each in reversed(range(12)):
        cluster.commit(topic, {each: places[each]}, whole=True)
    ((name, last_id),) = ask(f"/events/{topic}/").places.items()
    found = [Run(topic, cursor.tag(topic), 10, 40, [(40, b"", None, None)])]
    (item,) = Chain((topic, None), cursor.tag(topic)).items(found, list(places.values()))
    published = json.loads(item.body)
    assert (name, last_id) == (published["channel"], published["prev-id"])


def test_resume_is_not_sealed_where_nothing_is_filtered(relayed):
    """What the client misses comes with the hold, as it was written."""
    answer = ask(f"/events/{relayed}/", Last_Event_ID=event_id(relayed, {0: 38, 1: 39}))
    assert plain(answer) == [76, 78, 79]
    assert answer.places == {f"{chained(relayed)}:all": "14.14"}


@pytest.mark.parametrize("heartbeat", ["", "heartbeat=7"])
def test_link_ends_with_the_term_of_a_whole_topic(relayed, heartbeat):
    """Whatever else is asked for: the proxy filters the answer as this hold says."""
    answer = ask(f"/events/{relayed}/?{heartbeat}")
    assert answer.link == f"/next/events/{relayed}/{'h7_' if heartbeat else ''}w/"
    assert ask(answer.link, Grip_Last=GripProxy(places=answer.places).last()).link == answer.link


def test_part_of_a_topic_and_several_topics_are_held_by_partitions(cluster, relayed):
    """There is no channel for what they want."""
    other = f"{relayed}-other"
    cluster.create_topic(other, 1)
    cluster.commit(other, {0: 0}, whole=True)
    alone = ask(f"/events/{relayed}/?partition=1&offset=40")
    assert list(alone.channels) == channels_of(relayed, [1])
    both = ask(f"/events/{relayed}+{other}/")
    assert both.filters
    assert len(both.places) == 3
    assert not any(re.search("[/_]w/$", answer.link) for answer in (alone, both))


@pytest.mark.parametrize("partition", [0, 1])
def test_topic_of_which_another_relay_has_a_part_is_held_by_partitions(cluster, relayed, partition):
    """Each says so of its own; what is still said of the others is of before."""
    cluster.commit(relayed, {partition: 40})
    answer = ask(f"/events/{relayed}/")
    assert list(answer.channels) == channels_of(relayed, (0, 1))
    assert answer.filters


# --- What it misses -----------------------------------------------------------------------------------------------


def test_refill_takes_the_vector(relayed):
    """As the proxy tells it: the id that came last on the channel."""
    answer = ask(f"/next/events/{relayed}/w/", Grip_Last=f"{chained(relayed)}:all; last-id=12.13")
    assert seen(answer) == [76, 78, 79]
    assert (answer.places, answer.timeout) == ({f"{chained(relayed)}:all": "14.14"}, 29)
    assert answer.link == f"/next/events/{relayed}/w/"


def test_refill_with_a_prefix_takes_the_vector(relayed, settings):
    """The prefix is taken off again."""
    settings.GRIP_PREFIX = "mine-"
    answer = ask(f"/next/events/{relayed}/w/", Grip_Last=f"mine-{chained(relayed)}:all; last-id=13.14")
    assert seen(answer) == [78]


def test_refill_ids_say_where_the_client_is(relayed):
    """Of the heartbeat, too."""
    proxy = GripProxy().open(relayed)
    proxy.refill()
    assert proxy.events[-1].type == "stream-heartbeat"
    assert positions_of(proxy.events[-1].id) == {0: 40, 1: 40} == proxy.positions


@pytest.mark.parametrize(
    "last_id",
    [
        "",
        ".",
        "12.",
        ".12",
        "12..13",
        "12.-1",
        "12.ZZ",
        "12.1y2p0ij32e8e8",
        "12.\xff",
        "-",
        "1~2",
        "x" * 5000,
    ],
    ids=lambda text: ascii(text[:20]),
)
def test_refill_malformed_vector_is_left_aside(relayed, last_id):
    """It is no place to go on from: the client begins anew, and nothing is an error of ours."""
    answer = ask(f"/next/events/{relayed}/w/", Grip_Last=f"{chained(relayed)}:all; last-id={last_id}")
    assert answer.status == 200
    assert [event.type for event in answer.events] == ["stream-open"]
    assert answer.places == {f"{chained(relayed)}:all": "14.14"}


def test_refill_vector_of_too_few_or_too_many_partitions_is_told(relayed):
    """The one is from before they were added, the other of what is no more; the next item joins in any case."""
    few = ask(f"/next/events/{relayed}/w/", Grip_Last=f"{chained(relayed)}:all; last-id=14")
    assert seen(few) == list(range(1, 80, 2))
    many = ask(f"/next/events/{relayed}/w/", Grip_Last=f"{chained(relayed)}:all; last-id=14.14.5")
    assert [event.type for event in many.events if event.type != "stream-heartbeat"] == ["stream-reset"]
    assert few.places == many.places == {f"{chained(relayed)}:all": "14.14"}
    assert (few.timeout, many.timeout) == (0, 29)


def test_refill_of_a_topic_that_was_created_again_joins_its_channel(relayed):
    """It has another name; what comes there before the client is subscribed would be missed."""
    proxy = GripProxy().open(relayed)
    before = channel(relayed, cursor.tag(relayed, "id of before"), None)
    proxy.places = {before: "0.0"}
    proxy.refill()
    assert list(proxy.places) == [f"{chained(relayed)}:all"]
    assert [answer.timeout for answer in proxy.answers[-2:]] == [0, 29]


def test_hold_while_kafka_is_away_is_the_same_by_the_same_link(fragile, topic):
    """The client stays where it is, by its channel."""
    fragile.create_topic(topic, 2)
    fragile.commit(topic, {0: 0, 1: 0}, whole=True)
    proxy = GripProxy().open(topic)
    fragile.write(topic, [(1, b"meanwhile")])
    fragile.commit(topic, {1: 1}, whole=True)
    fragile.down()
    proxy.refill()
    kept = proxy.answers[-1]
    assert (kept.text, kept.timeout) == (":\n\n", 5)
    assert kept.headers["Grip-Channel"] == f"{chained(topic)}:all; prev-id=0.0, {topic}:~"
    assert kept.link == f"/next/events/{topic}/w/"
    fragile.up()
    until(lambda: proxy.refill().records(), 20, "the rest has come")
    assert [event.data for event in proxy.records()] == ["meanwhile"]


# --- When the kind of hold changes --------------------------------------------------------------------------------


def test_refill_of_a_topic_that_has_become_a_whole_is_sealed_and_joins_its_channel_at_once(cluster, topic):
    """The proxy filters the answer as the hold before it says; what came on the new channel before is asked for."""
    cluster.create_topic(topic, 2)
    cluster.commit(topic, {0: 0, 1: 0})
    proxy = GripProxy().open(topic)
    cluster.write(topic, [(0, f"0 {PERCENT}".encode())])
    cluster.commit(topic, {0: 1, 1: 0}, whole=True)
    answer = ask(proxy.answers[-1].link, Grip_Last=proxy.last())
    assert sealed(answer) == [0]
    assert (answer.places, answer.timeout) == ({f"{chained(topic)}:all": "1.0"}, 0)
    assert answer.link == f"/next/events/{topic}/w/"
    proxy.refill()
    assert [event.data for event in proxy.records()] == [f"0 {PERCENT}"]
    assert proxy.answers[-1].timeout == 29
    assert not proxy.answers[-1].filters


def test_refill_of_a_topic_that_is_a_whole_no_more_is_as_it_is_and_joins_the_partitions_at_once(
    cluster, relayed
):
    """Its holds have no filter yet, and lack what came on the channels of its partitions meanwhile."""
    proxy = GripProxy().open(relayed)
    cluster.write(relayed, [(1, f"81 {PERCENT}".encode())])
    cluster.commit(relayed, {1: 41})
    answer = ask(proxy.answers[-1].link, Grip_Last=proxy.last())
    assert plain(answer) == [81]
    assert list(answer.channels) == channels_of(relayed, (0, 1))
    assert (answer.positions, answer.filters, answer.timeout) == ({0: 40, 1: 41}, True, 0)
    assert answer.link == f"/next/events/{relayed}/s/"
    proxy.refill()
    assert [event.data for event in proxy.records()] == [f"81 {PERCENT}"]
    assert proxy.answers[-1].timeout == 29


@pytest.mark.parametrize("whole", [True, False])
def test_refill_by_a_link_of_either_kind_is_answered_as_that_kind(cluster, relayed, whole):
    """Whatever the topic is by now, and whether it comes from near or far: the proxy has been told before."""
    cluster.commit(relayed, {0: 40, 1: 40}, whole=whole)
    name = chained(relayed)
    by_partition = f"{name}:0; last-id=13, {name}:1; last-id=14"
    assert sealed(ask(f"/next/events/{relayed}/s/", Grip_Last=by_partition)) == [78]
    assert plain(ask(f"/next/events/{relayed}/w/", Grip_Last=f"{name}:all; last-id=13.14")) == [78]
    assert sealed(ask(f"/next/events/{relayed}/w_s/", Grip_Last=f"{name}:all; last-id=13.14")) == [78]


@pytest.mark.parametrize("ending", [False, True], ids=["page", "end"])
def test_refill_without_a_hold_is_sealed_by_its_link(cluster, relayed, settings, ending):
    """A client that is far behind gets a page first, one whose time has come the end; the hold before counts."""
    settings.KAFKASSE_PAGE_BYTES = 80
    terms = f"e{event_id(relayed, {0: 39, 1: 40})}_" if ending else ""
    name, last = chained(relayed), "last-id=12, {0}:1; last-id=14"
    filtered = ask(f"/next/events/{relayed}/{terms}s/", Grip_Last=f"{name}:0; {last.format(name)}")
    whole = ask(f"/next/events/{relayed}/{terms}w/", Grip_Last=f"{name}:all; last-id=12.14")
    assert sealed(filtered) == plain(whole) == [76]
    assert not filtered.holds
    assert not whole.holds
    assert ("stream-end" in whole.text) == ending
    if not ending:
        # What follows a page is filtered for nobody.
        links = [answer.link for answer in (filtered, whole)]
        assert links == [f"/next/events/{relayed}/{event_id(relayed, {0: 39, 1: 40})}/"] * 2


# --- To the end ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "size"), [(50, 20), (1000, 60), (40, 5000)])
@pytest.mark.parametrize("page_bytes", [20_000, 400_000])
def test_catch_up_every_record_once_in_order(cluster, topic, settings, count, size, page_bytes):
    """From the beginning to the live stream of the topic, through as many pages as it takes; their links say no kind."""
    settings.KAFKASSE_PAGE_BYTES = page_bytes
    cluster.create_topic(topic, 3)
    cluster.write(topic, [(n % 3, f"{n % 3}/{n // 3} %I {'x' * size}".encode()) for n in range(3 * count)])
    cluster.commit(topic, dict.fromkeys(range(3), count), whole=True)
    proxy = GripProxy().open(topic, Last_Event_ID=event_id(topic, {0: 0, 1: 0, 2: 0}))
    assert places(proxy.records()) == {partition: list(range(count)) for partition in range(3)}
    assert MARK not in proxy.text
    assert list(proxy.places) == [f"{chained(topic)}:all"]
    assert proxy.positions == dict.fromkeys(range(3), count) == positions_of(proxy.events[-1].id)
    for answer in proxy.answers:
        assert answer.holds == (re.search("[/_]w/$", answer.link) is not None)


def places(events):
    """Return where each record stood, by partition, in the order in which they came."""
    found = {}
    for event in events:
        place, percent, *_ = event.data.split(" ")
        assert percent == "%I"
        partition, number = place.split("/")
        found.setdefault(int(partition), []).append(int(number))
    return found


class Publishing:
    """A relay that has all of a topic, or a part of it, by turns; publishes get lost, its clients come whenever."""

    def __init__(self, cluster, topic, chance):
        """Nothing is written."""
        self.cluster, self.topic, self.chance = cluster, topic, chance
        self.written, self.published = [0, 0, 0], [0, 0, 0]
        self.whole, self.clients = True, []
        self.commit()

    def commit(self):
        """Commit all, as is done for a topic."""
        self.cluster.commit(self.topic, dict(enumerate(self.published)), whole=self.whole)

    def write(self):
        """Write some records to one of the partitions."""
        partition = self.chance.randrange(3)
        for _ in range(self.chance.randrange(1, 4)):
            value = b"%d/%d %%I" % (partition, self.written[partition])
            self.cluster.write(self.topic, [(partition, value)])
            self.written[partition] += 1

    def publish(self, *, lost=False):
        """Publish what is new, by the partitions' channels, and by the topic's where this has it all."""
        found = [
            Run(
                self.topic,
                cursor.tag(self.topic),
                each,
                begin,
                [(n, b"%d/%d %%I" % (each, n), None, None) for n in range(begin, end)],
            )
            for each, (begin, end) in enumerate(zip(self.published, self.written, strict=True))
            if begin < end
        ]
        heard = {run.key: [run] for run in found}
        begins = {run.key: [run.position] for run in found}
        if self.whole and found:
            heard[self.topic, None] = found
            begins[self.topic, None] = list(self.published)
        self.published = list(self.written)
        if self.chance.random() < 0.5:  # a client that is repaired may ask before the commit or after it
            self.commit()
        for item in chunks.items(heard, begins):
            for client in [] if lost else self.clients:
                client.deliver(json.loads(item.body))
        self.commit()

    def lose(self):
        """Publish to a proxy that is just starting."""
        self.publish(lost=True)

    def turn(self):
        """Lose a part, or get all; the clients are told, some of them later."""
        self.whole = not self.whole
        self.commit()
        for client in self.clients:
            if self.chance.random() < 0.7:
                client.refill()

    def join(self):
        """Have a client come that wants all."""
        start = event_id(self.topic, {0: 0, 1: 0, 2: 0})
        self.clients.append(GripProxy().open(self.topic, Last_Event_ID=start))

    def refill(self):
        """Have the proxy ask for one of the clients."""
        if self.clients:
            self.chance.choice(self.clients).refill()


@pytest.mark.parametrize("seed", range(6))
def test_chain_any_turns_of_the_relay_deliver_once(cluster, topic, seed):
    """By whichever channels each client is held, and whichever there are: nothing is lost, and nothing comes twice."""
    cluster.create_topic(topic, 3)
    chance = random.Random(seed)  # noqa: S311
    relay = Publishing(cluster, topic, chance)
    steps = [relay.write] * 4 + [relay.publish] * 4 + [relay.lose, relay.turn, relay.join, relay.refill]
    for _ in range(70):
        chance.choice(steps)()
    relay.join()
    relay.publish()
    kinds = set()
    for client in relay.clients:
        client.refill()
        kinds |= {answer.filters for answer in client.answers if answer.holds}
        expected = {each: list(range(count)) for each, count in enumerate(relay.written) if count}
        assert places(client.records()) == expected
        assert client.positions == dict(enumerate(relay.written)) == positions_of(client.events[-1].id)
    assert kinds == {True, False}, "clients were held by either"
