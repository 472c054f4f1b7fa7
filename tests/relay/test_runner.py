"""The loop: nothing is committed that was not accepted, and nothing is skipped."""

from __future__ import annotations

import json
import logging
import threading
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kafkasse.exceptions import FencedError, KafkaUnavailableError, PublishError
from relay import chunks
from relay.audience import Everybody
from relay.chunks import BODY_BYTES, CHUNK_BYTES, Chain, Run
from relay.pacing import Pacer
from relay.publisher import RefusedError
from relay.reminders import SILENCE
from relay.runner import LONGEST_BACKOFF, LOOK, MOST_TOLD, SHORTEST_BACKOFF, Runner
from tests.fakes import (
    Chains,
    ListedSubscriptions,
    ListSource,
    ManualClock,
    PatientEvent,
    RecordingPublisher,
    channel_of,
    tag_of,
)

FULL = b"x" * (CHUNK_BYTES - 100)
"""A value that fills an item; fifteen of them fill a body."""
TOO_LARGE = b"x" * (BODY_BYTES + 1)


def run_of(*values, topic="orders", partition=0, position=0):
    """Return a run of values without holes."""
    return Run(
        topic,
        tag_of(topic),
        partition,
        position,
        [(position + n, value, None, None) for n, value in enumerate(values)],
    )


class Relay:
    """A runner among fakes that share one journal."""

    def __init__(
        self, *rounds, outcomes=(), during=lambda: None, clock=None, prefix="", listened=None, **source
    ):
        """Prepare; `run` does it.  `listened` are the channels with subscribers, where that is known."""
        self.journal = []
        self.stop = PatientEvent()
        self.source = ListSource(rounds, self.stop, self.journal, **source)
        self.publisher = RecordingPublisher(self.journal, outcomes, during)
        self.subscriptions = Everybody() if listened is None else ListedSubscriptions(listened)
        self.runner = Runner(
            self.source, self.publisher, self.stop, prefix, self.subscriptions, clock=clock or ManualClock()
        )

    def run(self):
        """Run to the end and return the journal."""
        self.runner.run()
        return self.journal

    def of(self, kind):
        """Return the journal's entries of one kind."""
        return [entry for entry in self.journal if entry[0] == kind]

    @property
    def kinds(self):
        """The journal in words: P accepted, p not, c committed, C waited for, w waited; s, r and e are left out."""
        letters = {"commit": "c", "wait": "w"}
        return "".join(
            ("P" if entry[2] else "p")
            if entry[0] == "publish"
            else "C"
            if entry[0] == "commit" and entry[2]
            else letters.get(entry[0], "")
            for entry in self.journal
        )

    @property
    def chains(self):
        """What the accepted items amount to."""
        return Chains().add(item for entry in self.of("publish") if entry[2] for item in entry[1])


# --- Publish, then commit -----------------------------------------------------------------------------------------


def test_run_of_one_round_publishes_then_commits_then_closes():
    """A position is what the views believe: it has to be true."""
    relay = Relay([run_of(b"a", b"b")])
    relay.run()
    assert [entry[0] for entry in relay.journal] == ["start", "read", "publish", "commit", "read", "close"]
    assert relay.of("commit") == [("commit", {("orders", 0): 2}, False)]
    assert relay.chains.values("orders:0") == ["a", "b"]


def test_run_of_several_partitions_publishes_them_together_and_commits_each():
    """One publish per round where it fits."""
    relay = Relay([run_of(b"a"), run_of(b"b", partition=1, position=5), run_of(b"c", topic="users")])
    relay.run()
    assert relay.kinds == "Pc"
    assert relay.of("commit")[0][1] == {("orders", 0): 1, ("orders", 1): 6, ("users", 0): 1}


def test_run_of_more_than_a_body_commits_each_batch_after_it_was_accepted():
    """What is accepted is committed at once: a crash then repeats little."""
    relay = Relay([run_of(*[FULL] * 40)], [])
    relay.run()
    assert relay.kinds == "PcPcPc"
    places = [entry[1]["orders", 0] for entry in relay.of("commit")]
    accepted = [int(entry[1][-1]["id"], 36) for entry in relay.of("publish")]
    assert places == accepted
    assert places[-1] == 40


def test_run_of_an_empty_round_neither_publishes_nor_commits():
    """Nothing was written."""
    relay = Relay([])
    relay.run()
    assert relay.kinds == ""


def test_run_names_channels_with_the_prefix():
    """For deployments that share one proxy; hints as well."""
    relay = Relay([run_of(b"a", TOO_LARGE)], prefix="dev-", appeared=[{"orders"}])
    relay.run()
    channels = [item["channel"] for entry in relay.of("publish") for item in entry[1]]
    chained = f"dev-orders:{tag_of('orders')}:0"
    assert channels == ["dev-orders:~", chained, chained, "dev-orders:~"]


# --- What nobody listens to ---------------------------------------------------------------------------------------


def test_run_of_what_nobody_listens_to_commits_without_publishing():
    """The views serve what is committed; the proxy has nobody to give it to."""
    relay = Relay([run_of(b"a", b"b"), run_of(TOO_LARGE, partition=1, position=7)], listened=())
    relay.run()
    assert relay.kinds == "c"
    assert relay.of("commit") == [("commit", {("orders", 0): 2, ("orders", 1): 8}, False)]
    assert (relay.runner.totals.records, relay.runner.totals.unheard) == (0, 3)


def test_run_publishes_what_somebody_listens_to_among_the_rest():
    """A partition by itself."""
    relay = Relay([run_of(b"a"), run_of(b"b", partition=1)], listened={channel_of(partition=1)})
    relay.run()
    assert relay.kinds == "cPc"
    assert [entry[1] for entry in relay.of("commit")] == [{("orders", 0): 1}, {("orders", 1): 1}]
    assert relay.chains.values("orders:1") == ["b"]
    assert relay.chains.values("orders:0") == []


def test_first_listener_is_told_how_far_a_partition_is_before_anything_else():
    """Its hold may begin before what was passed over: the item without records has it repaired at once."""
    relay = Relay([run_of(b"a", b"b")], [run_of(b"c", position=2)], [], listened=())
    relay.runner.after_tick = lambda _runner: relay.subscriptions.add(channel_of())
    relay.run()
    ((forget,), (told,), (first,)) = [entry[1] for entry in relay.of("publish")]
    assert [list(item["formats"]) for item in (forget, told)] == [["http-response"], ["http-stream"]]
    assert {item["channel"] for item in (forget, told, first)} == {channel_of()}
    assert (told["prev-id"], told["id"]) == ("2", "2")
    assert (first["prev-id"], first["id"]) == ("2", "3")


def test_first_listener_of_another_relays_partition_is_its_business():
    """It has gone to that one since; only that one knows how far it is."""
    relay = Relay([run_of(b"a")], [], listened=())

    def after_tick(_runner):
        relay.source.read_to.clear()
        relay.subscriptions.add(channel_of())

    relay.runner.after_tick = after_tick
    relay.run()
    assert relay.of("publish") == []


def test_first_listener_where_the_telling_fails_is_repaired_by_the_next_item():
    """Its prev-id is not what the client has."""
    relay = Relay([run_of(b"a")], [run_of(b"b", position=1)], listened=(), outcomes=[PublishError()] * 2)
    relay.runner.after_tick = lambda _runner: relay.subscriptions.add(channel_of())
    relay.run()
    assert relay.kinds == "cppPc"
    assert [item["prev-id"] for item in relay.of("publish")[2][1]] == ["1"]


def test_first_listener_of_thousands_of_partitions_is_told_in_bodies_that_a_proxy_takes():
    """It refuses more than a million bytes; the names may have 249 characters."""
    topic = "x" * 249
    many = range(MOST_TOLD + 1)
    relay = Relay([run_of(b"a", topic=topic, partition=each) for each in many], [], listened=())
    relay.runner.after_tick = lambda _runner: [relay.subscriptions.add(channel_of(topic, n)) for n in many]
    relay.run()
    told = [entry[1] for entry in relay.of("publish")]
    assert [len(items) for items in told] == [MOST_TOLD, 1, MOST_TOLD, 1]
    assert max(len(json.dumps(items)) for items in told) < BODY_BYTES


def test_partitions_that_nobody_listens_to_rest_within_a_second():
    """Those that are silent, too: each fetch would name them."""
    clock = ManualClock()
    relay = Relay(
        [run_of(b"a"), run_of(b"b", partition=1)], [], [], listened={channel_of(partition=1)}, clock=clock
    )
    relay.runner.after_tick = lambda _runner: clock.advance(LOOK)
    relay.run()
    assert relay.of("rest")[0] == ("rest", {("orders", 0)})


def test_resting_partitions_wake_for_a_first_listener_and_when_nobody_can_tell():
    """From then on their records are published."""
    rounds = [[run_of(b"a"), run_of(b"b", partition=1)], [], []]
    relay = Relay(*rounds, listened=())
    relay.source.resting = {("orders", 0), ("orders", 1)}
    steps = [
        lambda: relay.subscriptions.add(channel_of()),
        lambda: setattr(relay.subscriptions, "known", False),
    ]
    relay.runner.after_tick = lambda _runner: steps and steps.pop(0)()
    relay.run()
    assert relay.of("wake") == [("wake", {("orders", 0)}), ("wake", {("orders", 1)})]


def test_resting_partitions_move_on_with_their_logs():
    """A view begins where the relay is."""
    item = chunks.unheard(("orders", 0), tag_of("orders"), 9, 2)
    relay = Relay([], listened=(), grown=[[], [item]])
    relay.run()
    assert relay.of("commit") == [("commit", {("orders", 0): 9}, False)]
    assert relay.runner.totals.unheard == 2


def test_silent_partition_without_a_listener_is_reminded_of_by_nobody():
    """With thousands of topics these would be most of what is published."""
    clock = ManualClock()
    rounds = [[run_of(b"a"), run_of(b"b", partition=1)], [], [], [], []]
    relay = Relay(*rounds, listened={channel_of(partition=1)}, clock=clock)
    relay.runner.after_tick = lambda _runner: clock.advance(SILENCE)
    relay.run()
    reminded = {item["channel"] for entry in relay.of("publish")[1:] for item in entry[1]}
    assert reminded == {channel_of(partition=1)}


# --- Topics as a whole --------------------------------------------------------------------------------------------


ALL = channel_of(partition=None)


def whole_of(*rounds, **options):
    """Return the relay of a topic of two partitions, both of which it has."""
    relay = Relay(*rounds, whole={"orders"}, **options)
    relay.source.read_to.update({("orders", 0): 0, ("orders", 1): 0})
    return relay


def channels(relay):
    """Return the channels of the items of each publish."""
    return [[item["channel"] for item in entry[1]] for entry in relay.of("publish")]


def test_whole_topic_is_published_by_its_channel_only_where_only_that_is_listened_to():
    """One item for both partitions, from vector to vector."""
    rounds = [run_of(b"a"), run_of(b"b", b"c", partition=1)], [run_of(b"d", partition=1, position=2)]
    relay = whole_of(*rounds, listened={ALL})
    relay.run()
    assert channels(relay) == [[ALL], [ALL]]
    items = [(item["prev-id"], item["id"]) for entry in relay.of("publish") for item in entry[1]]
    assert items == [("0.0", "1.2"), ("1.2", "1.3")]
    assert relay.chains.values("orders:all") == ["a", "b", "c", "d"]
    committed = [entry[1] for entry in relay.of("commit")]
    assert committed == [{("orders", 0): 1, ("orders", 1): 2}, {("orders", 1): 3}]
    assert (relay.runner.totals.records, relay.runner.totals.unheard) == (4, 0)


def test_whole_topic_is_published_by_its_partitions_only_where_only_those_are_listened_to():
    """As one of which another relay has a part; what nobody listens to is passed over."""
    relay = whole_of([run_of(b"a"), run_of(b"b", partition=1)], listened={channel_of()})
    relay.run()
    assert channels(relay) == [[channel_of()]]
    assert [entry[1] for entry in relay.of("commit")] == [{("orders", 1): 1}, {("orders", 0): 1}]
    assert (relay.runner.totals.records, relay.runner.totals.unheard) == (1, 1)


def test_whole_topic_is_published_by_both_where_both_are_listened_to():
    """It is committed once, with the topic's items, and counted once."""
    relay = whole_of([run_of(b"a"), run_of(b"b", partition=1)], listened={ALL, channel_of(partition=1)})
    relay.run()
    assert channels(relay) == [[channel_of(partition=1), ALL]]
    assert relay.chains.values("orders:1") == relay.chains.values("orders:all", 1) == ["b"]
    assert relay.chains.values("orders:all", 0) == ["a"]
    assert [entry[1] for entry in relay.of("commit")] == [{("orders", 0): 1, ("orders", 1): 1}]
    assert (relay.runner.totals.records, relay.runner.totals.unheard) == (2, 0)


def test_whole_topic_that_goes_by_both_is_committed_up_to_where_both_are():
    """A crash in between would leave a gap in the chain that is behind."""
    relay = whole_of([run_of(*[FULL] * 20)], listened={ALL, channel_of()})
    relay.run()
    chains = Chains()
    for entry in relay.journal:
        if entry[0] == "publish":
            chains.add(entry[1])
        elif entry[0] == "commit" and entry[1]:
            assert entry[1] == {("orders", 0): chains.last["orders:all"][0]}
            assert chains.last["orders:all"][0] <= chains.last["orders:0"]
    assert relay.kinds == "PcPcPc"
    assert [entry[1] for entry in relay.of("commit")][0::2] == [{}, {("orders", 0): 20}]
    assert chains.offsets("orders:0") == chains.offsets("orders:all") == list(range(20))


def test_topic_that_another_relay_has_a_part_of_is_not_published_by_its_channel():
    """Whoever listens to that still would miss what the other one publishes; it is told to ask."""
    relay = Relay([run_of(b"a")], listened={ALL})
    relay.run()
    assert (channels(relay), relay.runner.totals.unheard) == ([], 1)


def test_whole_topic_is_heard_where_its_channel_is_and_its_partitions_do_not_rest():
    """Nobody listens to theirs."""
    for listened, rests in ({ALL}, []), (set(), [("rest", {("orders", 0), ("orders", 1)})]):
        relay = whole_of([], listened=listened)
        relay.run()
        assert relay.of("rest")[:1] == rests


@pytest.mark.parametrize(
    "listened", [set(), {channel_of(), channel_of(partition=1)}], ids=["to nothing", "to its partitions"]
)
def test_first_listener_of_a_whole_topic_is_told_how_far_it_is_and_its_partitions_wake(listened):
    """All of them: by this channel each is listened to."""
    rounds = [run_of(b"a"), run_of(b"b", partition=1)], [run_of(b"c", partition=1, position=1)], []
    relay = whole_of(*rounds, listened=listened)
    rested = set() if listened else {("orders", 0), ("orders", 1)}
    relay.source.resting |= rested
    relay.runner.after_tick = lambda _runner: relay.subscriptions.add(ALL)
    relay.run()
    told = [item for entry in relay.of("publish") for item in entry[1] if item["channel"] == ALL]
    assert [list(item["formats"]) for item in told] == [["http-response"], *[["http-stream"]] * 2]
    _forget, reminder, first = told
    assert (reminder["prev-id"], reminder["id"]) == ("1.1", "1.1")
    assert (first["prev-id"], first["id"]) == ("1.1", "1.2")
    assert relay.source.resting == set()
    assert relay.of("wake") == ([("wake", rested)] if rested else [])


def test_first_listener_of_a_topic_that_is_whole_no_more_is_told_nothing_by_its_channel():
    """Nobody publishes there now; the holds of the topic are told to ask, by who has its parts."""
    relay = whole_of([run_of(b"a"), run_of(b"b", partition=1)], [], listened=())

    def after_tick(_runner):
        relay.source.topics.clear()
        relay.source.read_to.pop(("orders", 1), None)
        relay.subscriptions.add(ALL)

    relay.runner.after_tick = after_tick
    relay.run()
    assert channels(relay) == []


def test_partitions_wake_when_their_topic_becomes_a_whole_that_was_listened_to_all_along():
    """Nobody listened to them while they were parts; that somebody listens to their topic is no news."""
    clock = ManualClock()
    relay = whole_of([], [], [], listened={ALL}, clock=clock)
    relay.source.topics.clear()

    def after_tick(_runner):
        relay.source.topics.add("orders")
        clock.advance(LOOK)

    relay.runner.after_tick = after_tick
    relay.run()
    both = {("orders", 0), ("orders", 1)}
    assert [entry for entry in relay.journal if entry[0] in {"rest", "wake"}] == [
        ("rest", both),
        ("wake", both),
    ]


def test_silent_topic_is_reminded_of_at_its_vector():
    """By the channel that is listened to; an item of any of its partitions counts for it."""
    clock = ManualClock()
    rounds = [run_of(b"a")], [run_of(b"b", partition=1)], [], []
    relay = whole_of(*rounds, listened={ALL}, clock=clock)
    relay.runner.after_tick = lambda _runner: clock.advance(SILENCE - 1)
    relay.run()
    *_published, (forget, reminder) = [entry[1] for entry in relay.of("publish")]
    assert forget == json.loads(chunks.forget(ALL))
    assert reminder == json.loads(Chain(("orders", None), tag_of("orders")).reminder([1, 1], follows=False))
    assert len(relay.chains.events["orders:all"]) == 2


def test_whole_topic_that_was_busy_is_not_asked_for_when_somebody_arrives():
    """The newcomer has just asked."""
    clock = ManualClock()
    relay = whole_of([run_of(b"a")], [], [run_of(b"b", position=1)], [], listened={ALL}, clock=clock)
    happens = iter([lambda: clock.advance(LOOK), relay.subscriptions.channels.clear])
    relay.runner.after_tick = lambda _runner: next(happens, lambda: relay.subscriptions.add(ALL))()
    relay.run()
    assert relay.chains.postponed == ["orders:~"]
    *_others, (forget,), (reminder,) = [entry[1] for entry in relay.of("publish")]
    assert forget == json.loads(chunks.forget(ALL))
    assert reminder == json.loads(Chain(("orders", None), tag_of("orders")).reminder([2, 0]))


def test_whole_topic_that_is_silent_and_live_has_heartbeats_and_is_not_asked_for():
    """The application would say the same to each of its clients."""
    clock = ManualClock()
    relay = whole_of([run_of(b"a")], *5 * [[]], listened={ALL}, clock=clock)
    relay.source.live.add("orders")
    relay.runner.wall_clock = lambda: 1.5
    relay.runner.after_tick = lambda _runner: clock.advance(SILENCE)
    relay.run()
    assert relay.chains.asked == []
    beat = json.loads(Chain(("orders", None), tag_of("orders")).reminder([1, 0], live=1.5))
    postponed = json.loads(chunks.postpone("orders"))
    _first, _busy, *told = [entry[1] for entry in relay.of("publish")]
    assert told == 5 * [[beat, postponed]]


def test_whole_topic_that_is_live_no_more_is_asked_for():
    """Its clients have not been for a while; the application knows how far behind they are."""
    clock = ManualClock()
    relay = whole_of([], *5 * [[]], listened={ALL}, clock=clock)
    relay.source.live.add("orders")

    def after_tick(_runner):
        clock.advance(SILENCE)
        if relay.chains.postponed:
            relay.source.live.clear()

    relay.runner.after_tick = after_tick
    relay.run()
    assert relay.chains.postponed == ["orders:~"]
    assert relay.chains.asked == ["orders:all"]


def test_whole_topic_that_falls_silent_is_asked_for_once():
    """While it was busy, its clients were not; who hears a heartbeat then, gets the further ones at the proxy's times."""
    clock = ManualClock()
    relay = whole_of([run_of(b"a")], *5 * [[]], listened={ALL}, clock=clock)
    relay.runner.after_tick = lambda _runner: clock.advance(SILENCE)
    relay.run()
    assert relay.chains.asked == ["orders:all"]
    *_published, (reminder,) = [entry[1] for entry in relay.of("publish")]
    assert reminder == json.loads(Chain(("orders", None), tag_of("orders")).reminder([1, 0]))


def test_busy_topic_with_a_chain_of_its_own_is_not_asked_for():
    """Its clients get all there is; one that is held by a partition has no such item, and is asked for."""
    clock = ManualClock()
    rounds = [[run_of(b"a"), run_of(b"u", topic="users")], [run_of(b"b")], *6 * [[]]]
    relay = whole_of(*rounds, listened={ALL, Chain(("users", 0), tag_of("users")).channel}, clock=clock)
    relay.runner.after_tick = lambda _runner: clock.advance(relay.runner.reminders.next_timeout / 4)
    relay.run()
    assert relay.chains.postponed == 2 * ["orders:~"]


def test_refused_item_of_a_whole_topic_has_its_channel_forgotten_and_its_clients_told():
    """They fetch from the log what they lack of all partitions."""
    relay = whole_of([run_of(b"a"), run_of(TOO_LARGE, partition=1)], listened={ALL})
    relay.run()
    assert relay.kinds == "PcPCP"
    assert relay.chains.actions == [("orders:all", "forget"), ("orders:~", "hint")]
    assert relay.of("commit")[0][1] == {("orders", 0): 1, ("orders", 1): 1}


def test_refused_items_of_a_topic_that_goes_by_both_are_told_once_it_is_committed():
    """Those of the partition come first, and are committed with the topic's: until then their clients find nothing."""
    relay = whole_of([run_of(*[FULL] * 20)], listened={ALL, channel_of()}, outcomes=[RefusedError("no")])
    relay.run()
    assert relay.kinds == "pcPPcPcCP"
    assert relay.chains.actions == [("orders:0", "forget"), ("orders:~", "hint")]
    assert relay.chains.offsets("orders:all") == list(range(20))


@pytest.mark.parametrize("outcomes", [(), [PublishError()]], ids=["between two batches", "in an outage"])
def test_stop_in_the_middle_commits_nothing_besides(outcomes):
    """Where the partitions are is not published yet: the source says it of all that has been read."""
    ahead = chunks.unheard(("orders", 0), tag_of("orders"), 40, 0)
    relay = whole_of([run_of(*[FULL] * 40)], [], listened={ALL}, outcomes=outcomes, grown=[[ahead]])
    relay.publisher._during = relay.stop.set  # noqa: SLF001 - our own fake
    relay.run()
    accepted = [item["id"] for entry in relay.of("publish") if entry[2] for item in entry[1]]
    assert [entry[1] for entry in relay.of("commit")] == [
        {("orders", 0): int(place.split(".")[0], 36)} for place in accepted[-1:]
    ]
    assert all(place != "14.0" for place in accepted), "which is 40"


def test_what_follows_is_committed_once_all_that_was_read_is_published():
    """It says which topics are a whole, at the positions that have been read up to."""
    turned = chunks.unheard(("orders", 0), tag_of("orders"), 20, 0)
    relay = whole_of([run_of(*[FULL] * 20)], [], listened={ALL}, grown=[[turned]])
    relay.run()
    assert relay.kinds == "PcPcc"
    assert relay.of("commit")[-1] == ("commit", {("orders", 0): 20}, False)


def test_partition_that_is_given_up_in_an_outage_does_not_disturb_what_has_been_read():
    """Its chain, and that of the topic, end as they were begun; what is read then goes by what is left."""
    runs = [run_of(*[FULL] * 20), run_of(b"b", partition=1)]
    rounds = runs, [run_of(b"last", position=20)]
    relay = whole_of(*rounds, listened={ALL, channel_of()}, outcomes=[PublishError()])

    def wait(_seconds):
        relay.source.topics.clear()
        relay.source.read_to.pop(("orders", 1))

    relay.source.wait = wait
    relay.run()
    assert relay.kinds == "pPcPcPcPc"
    assert relay.chains.broken == []
    assert relay.chains.offsets("orders:all", 0) == list(range(20))
    assert relay.chains.values("orders:all", 1) == ["b"]
    assert (relay.chains.first["orders:all"], relay.chains.last["orders:all"]) == ((0, 0), (20, 1))
    assert relay.chains.offsets("orders:0") == list(range(21))


# --- A proxy that is away -----------------------------------------------------------------------------------------


def test_publish_that_fails_is_repeated_as_it_is_before_anything_is_committed():
    """The same batch, in the same order, and then the next one."""
    relay = Relay([run_of(*[FULL] * 20)], [], outcomes=[PublishError(), PublishError()])
    relay.run()
    assert relay.kinds == "pwpwPcPc"
    tried = [entry[1] for entry in relay.of("publish")]
    assert tried[0] == tried[1] == tried[2] != tried[3]
    assert relay.chains.offsets("orders:0") == list(range(20))
    assert relay.chains.broken == []


def test_publish_that_keeps_failing_is_tried_less_often_up_to_a_limit():
    """Doubling from 0.1 s to 1 s: soon enough after a short outage, no storm in a long one."""
    relay = Relay([run_of(b"a")], outcomes=[PublishError()] * 7)
    during = []
    relay.source.wait = during.append
    relay.stop.is_set = lambda: False  # the only round is not the last
    relay.runner.tick()
    assert during == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0])
    assert (SHORTEST_BACKOFF, LONGEST_BACKOFF) == (0.1, 1.0)


def test_back_off_begins_anew_after_a_success():
    """A second outage is another one."""
    relay = Relay([run_of(*[FULL] * 20)], outcomes=[PublishError(), PublishError(), None, PublishError()])
    relay.stop.is_set = lambda: False
    relay.runner.tick()
    assert [entry[1] for entry in relay.of("wait")] == pytest.approx([0.1, 0.2, 0.1])


def test_stop_in_an_outage_ends_without_a_commit():
    """The next start publishes it again."""
    relay = Relay([run_of(*[FULL] * 20)], outcomes=[PublishError()] * 100)
    relay.publisher._during = relay.stop.set  # noqa: SLF001 - our own fake
    relay.run()
    assert relay.kinds == "p"
    assert relay.journal[-1] == ("close",)


def test_stop_during_a_publish_finishes_and_commits_it():
    """What was accepted is not published again by the next start."""
    relay = Relay([run_of(b"a")], [], [run_of(b"b", position=1)])
    relay.publisher._during = relay.stop.set  # noqa: SLF001 - our own fake
    relay.run()
    assert relay.kinds == "Pc"


def test_stop_between_two_batches_leaves_the_rest_to_the_next_start():
    """Only the publish in flight is finished: a round may hold twenty, and a slow proxy takes seconds for each."""
    relay = Relay([run_of(*[FULL] * 40)], [])
    relay.publisher._during = relay.stop.set  # noqa: SLF001 - our own fake
    relay.run()
    assert relay.kinds == "Pc"


@settings(max_examples=40)
@given(st.lists(st.booleans(), max_size=20), st.lists(st.integers(0, 20), min_size=1, max_size=4))
def test_run_through_any_outages_publishes_every_record_in_order_and_commits_only_what_was_accepted(
    failures, sizes
):
    """An oracle: at every commit, the position is the end of what has been accepted."""
    rounds, position = [], 0
    for size in sizes:
        rounds.append([run_of(*[FULL] * size, position=position)] if size else [])
        position += size
    relay = Relay(*rounds, [], outcomes=[PublishError() if failed else None for failed in failures])
    relay.run()
    accepted = 0
    for entry in relay.journal:
        if entry[0] == "publish" and entry[2]:
            accepted = int(entry[1][-1]["id"], 36)
        elif entry[0] == "commit":
            assert entry[1] == {("orders", 0): accepted}
    assert relay.chains.offsets("orders:0") == list(range(position))
    assert relay.chains.broken == []


# --- What cannot be published -------------------------------------------------------------------------------------


def test_refused_body_is_committed_before_its_clients_are_told_to_fetch_it():
    """They may read up to the committed position only."""
    runs = [run_of(b"a"), run_of(b"b", partition=1), run_of(b"c", topic="users")]
    relay = Relay(runs, outcomes=[RefusedError("no")])
    relay.run()
    assert relay.kinds == "pcPCP"
    gaps = [(channel, "forget") for channel in ("orders:0", "orders:1", "users:0")]
    assert relay.chains.actions == [*gaps, ("orders:~", "hint"), ("users:~", "hint")]
    assert relay.of("commit")[0][1] == {("orders", 0): 1, ("orders", 1): 1, ("users", 0): 1}


def test_refused_body_is_said_in_the_log(caplog):
    """It is a bug or a foreign limit: somebody should know."""
    Relay([run_of(b"a")], outcomes=[RefusedError("too bad")]).run()
    assert "too bad" in caplog.text


def test_refused_body_does_not_stop_what_follows():
    """The next round is published as if nothing had been."""
    relay = Relay([run_of(b"a")], [run_of(b"b", position=1)], outcomes=[RefusedError("no")])
    relay.run()
    assert relay.kinds == "pcPCPPc"
    assert relay.chains.values("orders:0") == ["b"]


def test_record_too_large_is_committed_before_its_clients_are_told_to_fetch_it():
    """The records around it are published as usual, before."""
    relay = Relay([run_of(b"a", TOO_LARGE, b"b")])
    relay.run()
    assert relay.kinds == "PcPCP"
    assert relay.of("commit")[0][1] == {("orders", 0): 3}
    assert relay.chains.values("orders:0") == ["a", "b"]
    assert relay.chains.actions == [("orders:0", "forget"), ("orders:~", "hint")]


def test_record_too_large_alone_publishes_no_empty_body():
    """A body without items is for nobody."""
    relay = Relay([run_of(TOO_LARGE)])
    relay.run()
    assert relay.kinds == "cPCP"
    assert relay.chains.actions == [("orders:0", "forget"), ("orders:~", "hint")]


def test_record_too_large_in_an_outage_is_not_committed_before_its_neighbours():
    """They are one batch."""
    relay = Relay([run_of(b"a", TOO_LARGE)], [], outcomes=[PublishError()] * 2)
    relay.run()
    assert relay.kinds == "pwpwPcPCP"


@pytest.mark.parametrize("error", [PublishError(), RefusedError("no")])
def test_telling_that_fails_is_not_repeated_and_stops_nothing(error):
    """The holds ask by themselves sooner or later."""
    relay = Relay([run_of(TOO_LARGE)], [run_of(b"b", position=1)], outcomes=[error] * 2)
    relay.run()
    assert relay.kinds == "cpCpPc"


# --- New partitions -----------------------------------------------------------------------------------------------


def test_new_partitions_are_told_before_their_first_records():
    """Each hold of the topic then asks for its channels again."""
    relay = Relay([run_of(b"a", partition=7)], appeared=[{"orders"}])
    relay.run()
    assert relay.kinds == "PPc"
    assert relay.of("publish")[0][1] == [
        {"channel": "orders:~", "formats": {"http-stream": {"action": "hint"}}}
    ]


def test_new_partitions_without_records_are_told_too():
    """The hold shall be there before the first record."""
    relay = Relay([], appeared=[{"orders", "users"}])
    relay.run()
    assert {item["channel"] for item in relay.of("publish")[0][1]} == {"orders:~", "users:~"}


# --- Silent partitions --------------------------------------------------------------------------------------------


def test_silent_partitions_are_reminded_of_at_their_positions():
    """A client that lacks the last item is repaired, though no further one comes."""
    clock = ManualClock()
    relay = Relay([run_of(b"a"), run_of(b"b", partition=1)], [], clock=clock, prefix="dev-")
    relay.stop.is_set = lambda: False
    relay.runner.tick()
    clock.advance(SILENCE + 1)
    relay.runner.tick()
    clock.advance(SILENCE + 1)
    relay.runner.tick()
    _items, *reminders = [entry[1] for entry in relay.of("publish")]
    chains = [Chain(("orders", each), tag_of("orders"), "dev-") for each in (0, 1)]
    at_one = [json.loads(chain.reminder([1])) for chain in chains]
    assert reminders == [at_one, at_one]
    assert relay.runner.totals.items == 2


def test_what_rests_and_what_is_reminded_of_is_looked_for_once_a_second():
    """There may be tens of thousands of partitions, and hundreds of rounds a second."""
    clock = ManualClock()
    relay = Relay([run_of(b"a")], clock=clock)
    looks = []
    relay.source.rest = lambda _keys: looks.append("rest")
    relay.runner.reminders = SimpleNamespace(
        due=lambda _places, _now: looks.append("remind") or [],
        busy=lambda _now: set(),
        published=lambda _places, _now: None,
    )
    relay.stop.is_set = lambda: False
    for seconds in (0, LOOK / 2, LOOK / 2 - 0.01):
        clock.advance(seconds)
        relay.runner.tick()
    assert looks == ["rest", "remind"]
    clock.advance(0.01)
    relay.runner.tick()
    assert looks == ["rest", "remind"] * 2


def test_reminder_that_fails_stops_nothing():
    """The next one comes after another silence."""
    clock = ManualClock()
    relay = Relay(
        [run_of(b"a")], [], [run_of(b"b", position=1)], outcomes=[None, PublishError()], clock=clock
    )
    relay.stop.is_set = lambda: False
    relay.runner.tick()
    clock.advance(SILENCE + 1)
    relay.runner.tick()
    relay.runner.tick()
    assert relay.kinds == "PcpPc"


# --- Pace, totals, status -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0.1, 0.014])
def test_run_rests_after_each_publish_as_the_pacer_says(seconds):
    """By (smoothed) what it took: large bodies that are taken in as quickly as that had not to wait.  The first has no rest."""
    clock, mirror = ManualClock(), Pacer()
    relay = Relay([run_of(*[FULL] * 40)], [], clock=clock, during=lambda: clock.advance(seconds))
    relay.runner.tick()
    expected = [0.0, 0.0]  # before reading, and before the first publish
    for _ in range(3):
        mirror.published(0.0, seconds, BODY_BYTES)
        expected.append(mirror.rest(seconds))
    assert len(relay.stop.waits) >= 4
    assert relay.stop.waits == pytest.approx(expected[: len(relay.stop.waits)])
    assert expected[3] == pytest.approx(0.3 * seconds * 1.7)


def test_run_rests_before_it_reads():
    """What is written during the rest goes with the next item, and does not wait for the one after it."""
    relay = Relay([run_of(b"a")])
    relay.runner.pacer.due = relay.runner.clock() + 0.2
    relay.stop.wait = lambda timeout: relay.journal.append(("rest", timeout))
    relay.runner.tick()
    assert [entry[0] for entry in relay.journal[:2]] == ["rest", "read"]
    assert relay.journal[0][1] == pytest.approx(0.2)


def test_run_measures_the_publish_that_succeeded_and_not_the_outage():
    """Time-outs say nothing of how busy the proxy is."""
    clock = ManualClock()
    relay = Relay([run_of(b"a")], clock=clock, outcomes=[PublishError()], during=lambda: clock.advance(0.1))
    relay.stop.is_set = lambda: False
    relay.source.wait = clock.advance
    relay.runner.tick()
    assert relay.runner.pacer.average == pytest.approx(0.03)


def test_totals_count_records_items_and_publishes():
    """What the status line shows; an outage's attempts are no publishes."""
    clock = ManualClock(50.0)
    relay = Relay(
        [run_of(*[FULL] * 20)],
        [run_of(b"a", TOO_LARGE, position=20)],
        [],
        clock=clock,
        outcomes=[PublishError()],
    )
    assert relay.runner.totals.last_publish is None
    relay.run()
    totals = relay.runner.totals
    assert (totals.records, totals.items, totals.publishes) == (22, 22, 3)
    assert totals.last_publish == 50.0


def test_run_reports_after_each_tick():
    """The status line changes when nothing is read, too."""
    seen = []
    relay = Relay([run_of(b"a")], [])
    relay.runner.after_tick = lambda runner: seen.append(runner.totals.records)
    relay.run()
    assert seen == [1, 1, 1]


# --- Kafka --------------------------------------------------------------------------------------------------------


def test_run_without_kafka_at_the_start_tries_on_and_says_so_once(caplog):
    """It may be started later than the relay."""
    caplog.set_level(logging.INFO)
    relay = Relay([run_of(b"a")], start_errors=[KafkaUnavailableError("Kafka is away")] * 4)
    relay.run()
    assert len(relay.of("start")) == 5
    assert caplog.text.count("Kafka is away") == 1
    assert relay.kinds == "Pc"
    assert relay.stop.waits[:4] == [LONGEST_BACKOFF] * 4


def test_stop_while_kafka_is_away_at_the_start_ends():
    """Nothing has been read, so nothing is to be finished."""
    relay = Relay(start_errors=[KafkaUnavailableError()] * 100)
    relay.source.start = lambda: (relay.stop.set(), ListSource.start(relay.source))
    relay.run()
    assert [entry[0] for entry in relay.journal] == ["start", "close"]


def test_run_that_is_fenced_closes_and_raises():
    """Another relay has its name; nothing more is published."""
    relay = Relay([run_of(b"a")], [])

    def fenced(_timeout):
        raise FencedError

    relay.source.read = fenced
    with pytest.raises(FencedError, match="RELAY_INSTANCE_ID"):
        relay.run()
    assert [entry[0] for entry in relay.journal] == ["start", "close"]


def test_run_stops_from_another_thread_while_it_waits():
    """A real event: a signal's handler sets it in the middle of a rest."""
    stop = threading.Event()
    relay = Relay([])
    relay.runner.stop = stop
    relay.source.read = lambda timeout: [stop.wait(timeout)][:0]
    thread = threading.Thread(target=relay.runner.run)
    thread.start()
    stop.set()
    thread.join(5)
    assert not thread.is_alive()
    assert json.dumps(relay.journal[-1]) == '["close"]'
