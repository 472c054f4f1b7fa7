"""When pages of replays may go: one after another, at a distance that the proxy's answers tell."""

import threading

import pytest

from kafkasse import turns
from kafkasse.turns import SLOWEST, SMOOTHING, WAITING, Turns
from tests.fakes import ManualClock, StubProxy
from tests.harness.ports import free_port

MB = 1_000_000


class Proxy:
    """A proxy that takes `seconds` to answer, and a clock that moves while somebody waits."""

    def __init__(self, seconds):
        self.seconds, self.clock, self.asked, self.slept = seconds, ManualClock(), 0, []

    def ask(self):
        """Answer."""
        self.asked += 1
        return self.seconds

    def sleep(self, seconds):
        """Wait."""
        self.slept.append(seconds)
        self.clock.advance(seconds)

    def turns(self, rest=100):
        """Return the turns of a process that asks this proxy."""
        return Turns(self.ask, rest, self.clock, self.sleep)

    def settled(self, rest=100):
        """Return those of a process that has asked for long enough to know it, and has nothing to wait for."""
        found = self.turns(rest)
        for _ in range(60):
            found.take(MB)
        self.clock.advance(1)
        self.slept.clear()
        return found


def test_take_first_page_goes_at_once():
    """Nobody waits for nothing."""
    proxy = Proxy(0.0001)
    assert proxy.turns().take(MB)
    assert proxy.slept == [0]


def test_take_begins_as_if_the_proxy_were_busy():
    """What there is to disturb is not known yet."""
    proxy = Proxy(0.0001)
    found = proxy.turns()
    found.take(MB)
    found.take(MB)
    assert proxy.slept == [0, pytest.approx(SLOWEST)]


@pytest.mark.parametrize(
    ("answer", "size", "distance"), [(0.0002, MB, 0.02), (0.0002, MB // 10, 0.002), (0.0005, MB, 0.05)]
)
def test_take_waits_longer_for_larger_pages_and_slower_answers(answer, size, distance):
    """A hundred times as long as an answer takes, for each megabyte."""
    proxy = Proxy(answer)
    found = proxy.settled()
    for _ in range(4):
        assert found.take(size)
    assert proxy.slept == pytest.approx([0, distance, distance, distance], rel=0.01)


def test_take_goes_on_however_slow_the_proxy_is():
    """A replay that never ended would be no replay."""
    proxy = Proxy(3.0)
    found = proxy.settled()
    found.take(MB)
    found.take(MB)
    assert proxy.slept == [0, pytest.approx(SLOWEST)]


def test_take_one_slow_answer_does_not_stop_replays():
    """It is one of many: the average is what counts."""
    proxy = Proxy(0.0001)
    found = proxy.settled()
    proxy.seconds = 0.0011
    found.take(MB)
    proxy.seconds = 0.0001
    found.take(MB)
    found.take(MB)
    assert proxy.slept[-1] == pytest.approx(100 * (0.0001 + SMOOTHING * 0.001), rel=0.01)


def test_take_time_that_has_passed_counts():
    """Who comes later than its turn goes at once."""
    proxy = Proxy(0.0005)
    found = proxy.settled()
    found.take(MB)
    proxy.clock.advance(0.03)
    found.take(MB)
    assert proxy.slept == [0, pytest.approx(0.02, rel=0.01)]


def test_take_without_rest_asks_nobody():
    """Whoever wants replays as fast as they can be has them."""
    proxy = Proxy(1.0)
    found = proxy.turns(rest=0)
    assert all(found.take(MB) for _ in range(5))
    assert (proxy.asked, proxy.slept) == (0, [])


def test_take_more_than_may_wait_are_told_at_once_and_others_go_on():
    """A request that waits takes a place of the proxy's."""
    go, proxy = threading.Event(), Proxy(0.001)
    found = Turns(proxy.ask, 100, proxy.clock, lambda _seconds: go.wait())
    went = []
    threads = [threading.Thread(target=lambda: went.append(found.take(MB))) for _ in range(WAITING)]
    for thread in threads:
        thread.start()
    while found._waiting < WAITING:  # noqa: SLF001
        pass
    assert not found.take(MB)
    go.set()
    for thread in threads:
        thread.join()
    assert went == [True] * WAITING
    assert found.take(MB)


def test_take_wait_that_is_broken_off_gives_its_place_back():
    """A thread may be ended while it waits."""
    found = Turns(lambda: 1 / 0, 100, ManualClock(), lambda _seconds: None)
    for _ in range(WAITING + 1):
        with pytest.raises(ZeroDivisionError):
            found.take(MB)


def test_question_takes_the_time_of_a_proxy_whatever_it_answers():
    """Pushpin knows no such path, which is an answer, too."""
    with StubProxy() as proxy:
        ask = turns.question([{"control_uri": proxy.url}])
        assert 0 < ask() < SLOWEST


def test_question_without_an_answer_counts_as_the_slowest():
    """Where the publish port cannot be reached from here, replays are as slow as they may be."""
    assert turns.question([{"control_uri": f"http://127.0.0.1:{free_port()}"}])() == SLOWEST


def test_question_is_not_put_to_a_service_on_the_internet():
    """Its distance would be measured, not its load."""
    assert turns.question([{"control_uri": "https://api.fastly.com/service/abc"}]) is None


def test_turns_of_a_process_without_a_proxy_to_ask_let_everything_go(settings):
    """There is nothing to go by."""
    settings.GRIP_PROXIES = [{"control_uri": "https://api.fastly.com/service/abc"}]
    turns.turns.forget()
    assert all(turns.turns().take(MB) for _ in range(3))
    turns.turns.forget()


def test_take_waits_no_longer_than_it_may():
    """However many go before, a replay is not to fall behind what it reads."""
    proxy = Proxy(1)
    found = proxy.settled()
    found.take(2 * MB)
    assert found.take(MB, SLOWEST / 10)
    assert found.take(MB)
    # The one that went before its turn took nobody else's.
    assert proxy.slept == pytest.approx([0, SLOWEST / 10, 2 * SLOWEST - SLOWEST / 10])
