"""Answers that have to cross a network: written so that the proxy notices when one is cut off (ADR 29)."""

import random

import pytest
from django.test import Client

from tests.harness.cursors import chained, channels_of, event_id
from tests.kafkasse.fakes import FullIntake, build_id_filter
from tests.kafkasse.grip_proxy import GripProxy, ask

pytestmark = pytest.mark.integration

SPECIAL = "100 % %I %% %(x)s (y) \\\\ \\"
"""What the proxy's filter would change."""
COUNT = 2000


@pytest.fixture
def relayed(cluster, topic):
    """Make a topic of two partitions, which one relay has, and has published all of."""
    cluster.create_topic(topic, 2)
    cluster.write(topic, [(number % 2, f"{number} {SPECIAL}".encode()) for number in range(2 * COUNT)])
    cluster.commit(topic, {0: COUNT, 1: COUNT}, whole=True)
    return topic


@pytest.fixture
def far(settings):
    """Have every answer cross a network."""
    settings.KAFKASSE_SEALED_ANSWERS = True


def catch_up(topic, at=0):
    """Return a client that was far behind, and is held."""
    return GripProxy().open(topic, Last_Event_ID=event_id(topic, {0: at, 1: at}))


def numbers(client):
    """Return the numbers of a client's records, which came as they were written."""
    found = [event.data.split(" ", 1) for event in client.records()]
    assert all(rest == SPECIAL for _number, rest in found)
    return [int(number) for number, _rest in found]


@pytest.mark.parametrize(
    ("peer", "is_far"),
    [
        ("127.0.0.1", False),
        ("::1", False),
        ("::ffff:127.0.0.1", False),
        ("", False),  # a Unix socket
        ("10.0.0.5", True),
        ("::ffff:10.0.0.5", True),
        ("fe80::1", True),
    ],
)
def test_answers_to_another_machine_are_sealed(relayed, settings, peer, is_far):
    """That is where they can be cut off; the setting says otherwise, either way."""
    client = Client(REMOTE_ADDR=peer)
    path = f"/events/{relayed}/"
    assert ask(path, client=client).is_sealed == is_far
    for told in (True, False):
        settings.KAFKASSE_SEALED_ANSWERS = told
        assert ask(path, client=client).is_sealed == told


@pytest.mark.usefixtures("far")
def test_fresh_whole_topic_has_the_filter_on_its_control_channel(relayed):
    """The records' channel has none: their items are sent as they are."""
    answer = ask(f"/events/{relayed}/")
    assert (
        answer.headers["Grip-Channel"]
        == f"{chained(relayed)}:all; prev-id=1jk.1jk, {relayed}:~; filter=build-id"
    )
    assert answer.headers["Grip-Set-Meta"] == 'id_format="-"'
    assert answer.link == f"/next/events/{relayed}/w_s/"
    assert (answer.is_sealed, answer.filters_next, answer.filters) == (True, True, False)


@pytest.mark.usefixtures("far")
@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("page_bytes", [20_000, 1_000_000])
def test_catch_up_every_record_once_in_order(cluster, relayed, settings, whole, page_bytes):
    """However many pages there are, and whatever the client is held by in the end."""
    settings.KAFKASSE_PAGE_BYTES = page_bytes
    cluster.commit(relayed, {0: COUNT, 1: COUNT}, whole=whole)
    client = catch_up(relayed)
    found = numbers(client)
    assert sorted(found) == list(range(2 * COUNT))
    assert all(
        sorted(part) == part for part in ([each for each in found if each % 2 == odd] for odd in (0, 1))
    )
    assert client.refill().positions == {0: COUNT, 1: COUNT}
    assert list(client.answers[-1].channels) == (
        [f"{chained(relayed)}:all", f"{relayed}:~"] if whole else channels_of(relayed, (0, 1))
    )


@pytest.mark.usefixtures("far")
def test_first_answer_of_one_who_is_far_behind_is_the_opening_alone(relayed):
    """A first answer with a filter has to be small, and what follows one without could not be sealed."""
    opened, page, *_others = catch_up(relayed).answers
    assert [event.type for event in opened.events] == ["stream-open"]
    assert (opened.holds, opened.filters_next) == (False, True)
    assert page.is_sealed
    assert page.text.startswith("event: message")


@pytest.mark.usefixtures("far")
def test_first_answer_whose_opening_is_large_is_as_it_is(relayed, monkeypatch):
    """The proxy refuses a large one with a filter; what follows is not sealed then, but the next is."""
    monkeypatch.setattr("kafkasse.views.FIRST_HOLD_BYTES", 10)
    client = catch_up(relayed)
    first, second, *_others = client.answers
    assert (first.is_sealed, second.is_sealed, second.filters_next) == (False, False, True)
    assert sorted(numbers(client)) == list(range(2 * COUNT))


@pytest.mark.usefixtures("far")
def test_crowd_waits_in_a_hold_with_the_filter(relayed, monkeypatch):
    """Nothing comes on its channel; the filter is for the page that it waits for, and such pages take the proxy longer."""
    full = FullIntake(sealed=True)
    monkeypatch.setattr("kafkasse.views.intake", lambda: full)
    waits = catch_up(relayed).answers[0]
    assert (list(waits.channels), waits.timeout, waits.filters_next) == (["~"], 7, True)
    assert len(full.sizes) == 1
    again = GripProxy().open(relayed, waits.link, Grip_Last=f"~; last-id={waits.places['~']}")
    assert again.answers[0].is_sealed
    assert sorted(numbers(again)) == list(range(2 * COUNT))


@pytest.mark.usefixtures("far")
@pytest.mark.parametrize("whole", [True, False])
def test_answer_cut_off_anywhere_is_refused_by_the_filter(cluster, relayed, settings, whole):
    """Pages and repairs alike; what the filter has let through by then, the client has in order."""
    settings.KAFKASSE_PAGE_BYTES = 100_000
    cluster.commit(relayed, {0: COUNT, 1: COUNT}, whole=whole)
    client = catch_up(relayed)
    cluster.write(relayed, [(0, b"x" * 30_000)])
    cluster.commit(relayed, {0: COUNT + 1}, whole=whole)
    client.refill()
    answers = [answer for answer in client.answers if len(answer.body) > 1000]
    assert len(answers) >= 4
    assert answers[-1].holds
    chance = random.Random(7)  # noqa: S311 - any cuts will do
    for answer in answers:
        for _ in range(20):
            cut = chance.randrange(1, len(answer.body))
            if answer.body[:cut].endswith(b")I"):
                continue  # between two blocks
            with pytest.raises(ValueError, match="nothing that the filter knows"):
                build_id_filter(answer.body[:cut].decode(errors="replace"))
