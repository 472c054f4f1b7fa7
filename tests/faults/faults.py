"""What goes wrong with the parts of the chain, and between them."""

import itertools
import os
import signal

from tests.benchmarks.swarm import Load, Swarm
from tests.faults.registry import fault
from tests.faults.world import World
from tests.harness import usage
from tests.harness.kafka import KafkaBroker
from tests.harness.processes import Process


def _kill(world: World, part: Process | KafkaBroker, seconds: float) -> None:
    """Kill a part, and start it again so many seconds later."""
    part.kill()
    world.last(seconds)
    part.start()


def _pause(world: World, part: Process | KafkaBroker, seconds: float) -> None:
    """Have a part hang for so many seconds."""
    part.pause()
    world.last(seconds)
    part.resume()


# --- the relay ----------------------------------------------------------------------------------------------------


@fault("relay")
def relay_terminated(world, _chance, thorough):
    """SIGTERM and another start, three times; thoroughly: ten."""
    for _ in range(10 if thorough else 3):
        world.relay.terminate()
        world.relay.start(wait=False)
        world.last(1)


@fault("relay", quick=True)
def relay_killed(world, chance, thorough):
    """SIGKILL at any moment, also between an acknowledgement and its commit, five times; thoroughly: thirty."""
    for _ in range(30 if thorough else 5):
        world.relay.kill()
        world.relay.start(wait=False)
        world.last(0.8 + chance.random())


@fault("relay", quick=True)
def relay_paused(world, _chance, thorough):
    """SIGSTOP for 8 s, longer than its session in the group; thoroughly: for 70 s."""
    _pause(world, world.relay, 70 if thorough else 8)


@fault("relay")
def two_relays_killed_by_turns(world, _chance, _thorough):
    """Two relays share the work; each is killed once, and the other takes over."""
    other = world.stack.add_relay()
    for relay in (world.relay, other):
        world.last(8)
        relay.kill()
        world.last(10)
        relay.start(wait=False)
    world.last(8)
    other.terminate()
    world.stack.relays.remove(other)


# --- Pushpin ------------------------------------------------------------------------------------------------------


@fault("pushpin", "clients", quick=True)
def pushpin_restarted(world, _chance, _thorough):
    """SIGTERM and another start."""
    world.stack.pushpin.restart()


@fault("pushpin", "clients")
def pushpin_killed(world, _chance, _thorough):
    """SIGKILL to all of it, and another start three seconds later."""
    _kill(world, world.stack.pushpin, 3)


@fault("pushpin", "clients", quick=True)
def handler_killed(world, _chance, _thorough):
    """SIGKILL to its handler alone: Pushpin ends, and is started again, as a supervisor does."""
    pushpin = world.stack.pushpin
    for pid, use in usage.of_session(pushpin.pid).items():
        if use.program == "pushpin-handler":
            os.kill(pid, signal.SIGKILL)
    pushpin.wait(15)
    pushpin.kill()  # what it left
    pushpin.start()


@fault("pushpin", "clients", quick=True)
def pushpin_paused(world, _chance, _thorough):
    """SIGSTOP to all of it for 5 s: publishes are not answered."""
    _pause(world, world.stack.pushpin, 5)


@fault("publish")
def publishes_answered_500(world, _chance, _thorough):
    """For 3 s."""
    _publish_to(world, 500)


@fault("publish", quick=True)
def publishes_refused(world, _chance, _thorough):
    """For 3 s with 400: they are given up, and their clients fetch the records from the log."""
    _publish_to(world, 400)


@fault("publish", quick=True)
def publishes_hang(world, _chance, _thorough):
    """For 6 s, longer than a publish may take."""
    _publish_to(world, "hang", 6)


@fault("publish")
def publishes_reset(world, _chance, _thorough):
    """For 3 s their connections are reset."""
    _publish_to(world, "reset")


@fault("publish", quick=True)
def publishes_accepted_and_lost(world, _chance, _thorough):
    """For 3 s they are answered with 200, and reach nobody."""
    _publish_to(world, 200)


def _publish_to(world: World, behaviour: int | str, seconds: float = 3) -> None:
    world.publish.target = world.misbehaving(behaviour).port
    world.last(seconds)
    world.publish.target = world.stack.publish_port


# --- Django -------------------------------------------------------------------------------------------------------


@fault("django", quick=True)
def django_killed(world, _chance, _thorough):
    """SIGKILL, and another start five seconds later."""
    _kill(world, world.stack.django, 5)


@fault("django")
def django_paused(world, _chance, _thorough):
    """SIGSTOP for 5 s: requests are accepted and not answered."""
    _pause(world, world.stack.django, 5)


@fault("django")
def django_answers_500(world, _chance, _thorough):
    """To every request, for 5 s."""
    world.origin.target = world.misbehaving(500).port
    world.last(5)
    world.origin.target = world.stack.django_port


# --- Kafka --------------------------------------------------------------------------------------------------------


@fault("kafka")
def kafka_restarted(world, _chance, _thorough):
    """SIGTERM and another start."""
    world.kafka.restart()


@fault("kafka", quick=True)
def kafka_killed(world, _chance, _thorough):
    """SIGKILL, and another start three seconds later."""
    _kill(world, world.kafka, 3)


@fault("kafka")
def kafka_paused(world, _chance, _thorough):
    """SIGSTOP for 5 s: connections stay open, nothing is answered."""
    _pause(world, world.kafka, 5)


# --- the network --------------------------------------------------------------------------------------------------


@fault("clients", quick=True)
def clients_cut_off(world, _chance, _thorough):
    """All connections of all clients end at the same moment."""
    world.front.cut()


@fault("clients")
def crowd_comes_and_goes(world, _chance, _thorough):
    """Five hundred more clients come at the same moment, and leave after 3 s."""
    load = Load(world.stack.port, f"/events/{world.topic}/", 500, 10**6, timeout=60, rate=1e6, ready="head")
    with Swarm(load) as crowd:
        crowd.wait_ready()
        world.last(3)


@fault("clients")
def clients_swallowed(world, _chance, _thorough):
    """For 5 s nothing passes between Pushpin and its clients."""
    _swallow(world, "front")


@fault("django", "network")
def django_far_away(world, _chance, _thorough):
    """For 5 s, what passes between Pushpin and Django takes 200 ms."""
    world.origin.delay = 0.2
    world.last(5)
    world.origin.delay = 0.0


@fault("django", "network")
def django_unreachable(world, _chance, _thorough):
    """For 5 s nothing passes between Pushpin and Django."""
    _swallow(world, "origin")


@fault("django", "relay", "network", quick=True)
def answers_cut_off(world, chance, _thorough):
    """After three seconds without a relay, for 5 s, each longer answer of Django's to Pushpin ends somewhere in its middle."""
    world.relay.kill()
    world.last(3)
    world.origin.cut_answers(chance.randrange(1000, 100_000) for _ in itertools.count())
    world.front.cut()
    world.relay.start(wait=False)
    world.last(5)
    world.origin.cut_answers(())


@fault("publish", "network", quick=True)
def pushpin_unreachable(world, _chance, _thorough):
    """For 8 s nothing passes between the relay and Pushpin, neither publishes nor news of subscriptions."""
    world.news.swallow()
    _swallow(world, "publish", 8)
    world.news.restore()


@fault("publish", "network", quick=True)
def news_of_subscriptions_cut(world, _chance, _thorough):
    """Five times, the connection ends over which Pushpin tells who listens."""
    for _ in range(5):
        world.news.cut()
        world.last(0.7)


@fault("relay", "network", quick=True)
def kafka_unreachable_for_the_relay(world, _chance, _thorough):
    """For 8 s, longer than its session in the group, nothing passes between the relay and Kafka."""
    _swallow(world, "relay_kafka", 8)


@fault("django", "network")
def kafka_unreachable_for_django(world, _chance, _thorough):
    """For 5 s nothing passes between Django and Kafka."""
    _swallow(world, "web_kafka")


@fault("relay", "network")
def kafka_far_away(world, _chance, _thorough):
    """For 5 s, what passes between Kafka and the others takes 100 ms."""
    world.relay_kafka.delay = world.web_kafka.delay = 0.1
    world.last(5)
    world.relay_kafka.delay = world.web_kafka.delay = 0.0


def _swallow(world: World, link: str, seconds: float = 5) -> None:
    getattr(world, link).swallow()
    world.last(seconds)
    getattr(world, link).restore()
