"""System checks: one test for each id."""

import ast
import inspect
from collections import Counter

import pytest
from django.core.checks import run_checks

from kafkasse import checks
from relay import checks as relay_checks

GOOD = {"control_uri": "http://localhost:5561"}
KEYED = {**GOOD, "key": "of the proxy"}
NUMBERS = [
    "KAFKASSE_MAX_CHANNELS",
    "KAFKASSE_PAGE_BYTES",
    "KAFKASSE_PAGE_RECORDS",
    "KAFKASSE_MAX_LAST",
    "KAFKASSE_READERS",
    "KAFKASSE_KEEP_ALIVE",
    "KAFKASSE_NEXT_TIMEOUT",
]


def found(check):
    """Return the ids of what a check says."""
    return [message.id for message in check()]


def declared(module):
    """Return the calls that make a message, as (id, names of the arguments)."""
    calls = [node for node in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(node, ast.Call)]
    words = [{word.arg: word.value for word in call.keywords} for call in calls]
    return [(each["id"].value, set(each)) for each in words if "id" in each]


def test_check_consumer_config_e001(settings):
    """KAFKA_CONSUMER_CONFIG has to name brokers and a group."""
    settings.KAFKA_CONSUMER_CONFIG = {"bootstrap.servers": "a:1", "group.id": "g"}
    assert found(checks.check_consumer_config) == []
    settings.KAFKA_CONSUMER_CONFIG = {"bootstrap.servers": "a:1"}
    assert found(checks.check_consumer_config) == ["kafkasse.E001"]


@pytest.mark.parametrize(
    "proxies", [[], [{}], [GOOD, {}], ["http://localhost:5561"], [{"control_uri": ""}]], ids=str
)
def test_check_proxies_e002(settings, proxies):
    """GRIP_PROXIES has to say where to publish."""
    settings.GRIP_PROXIES = [GOOD]
    assert found(checks.check_proxies) == []
    settings.GRIP_PROXIES = proxies
    assert found(checks.check_proxies) == ["kafkasse.E002"]


def test_check_middleware_e003(settings):
    """Without the middleware, no instruction reaches the proxy."""
    assert found(checks.check_middleware) == []
    settings.MIDDLEWARE = []
    assert found(checks.check_middleware) == ["kafkasse.E003"]


@pytest.mark.parametrize("pattern", ["(", "[a", None, 7, "(?:a|b)x", r"shop\.\d+"], ids=str)
def test_check_topic_pattern_e004(settings, pattern):
    """KAFKASSE_TOPIC_PATTERN has to be a regular expression, and mean the same to librdkafka."""
    settings.KAFKASSE_TOPIC_PATTERN = r"shop\.(a|b)[0-9]+"
    assert found(checks.check_topic_pattern) == []
    settings.KAFKASSE_TOPIC_PATTERN = pattern
    assert found(checks.check_topic_pattern) == ["kafkasse.E004"]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [0, -1, 10**30, "7", None, 1.5], ids=str)
def test_check_numbers_e005(settings, name, value):
    """Each number has to be one, and neither too small nor too large."""
    assert found(checks.check_numbers) == []
    setattr(settings, name, value)
    (message,) = checks.check_numbers()
    assert message.id == "kafkasse.E005"
    assert name in message.msg


@pytest.mark.parametrize("name", ["KAFKASSE_CACHE_BYTES", "KAFKASSE_REPLAY_REST"])
@pytest.mark.parametrize("value", [-1, 10**30, "7", None, 1.5], ids=str)
def test_check_numbers_e005_of_what_may_be_nothing(settings, name, value):
    """A process that keeps no pages is one; one that keeps less than none is not."""
    setattr(settings, name, 0)
    assert found(checks.check_numbers) == []
    setattr(settings, name, value)
    assert found(checks.check_numbers) == ["kafkasse.E005"]


@pytest.mark.parametrize("value", ['a"b', "a,b", "a;b", "a b", "é", None], ids=str)
def test_check_prefix_e006(settings, value):
    """GRIP_PREFIX stands in headers."""
    settings.GRIP_PREFIX = "shop-1."
    assert found(checks.check_prefix) == []
    settings.GRIP_PREFIX = value
    assert found(checks.check_prefix) == ["kafkasse.E006"]


def test_check_keys_w001(settings):
    """A proxy without a key is warned of, once."""
    settings.GRIP_PROXIES = [KEYED]
    assert found(checks.check_keys) == []
    settings.GRIP_PROXIES = [KEYED, GOOD]
    assert found(checks.check_keys) == ["kafkasse.W001"]


@pytest.mark.parametrize(("value", "said"), [(1, True), (36, True), (37, False), (45, False), ("7", False)])
def test_check_keep_alive_w002(settings, value, said):
    """The proxy's own comment has to be rarer than its last attempt is late."""
    settings.KAFKASSE_KEEP_ALIVE = value
    assert found(checks.check_keep_alive) == (["kafkasse.W002"] if said else [])


@pytest.mark.parametrize("value", [0, -1, "7", None, 1.5], ids=str)
def test_check_publish_timeout_relay_e001(settings, value):
    """RELAY_PUBLISH_TIMEOUT has to be a time."""
    assert found(relay_checks.check_publish_timeout) == []
    settings.RELAY_PUBLISH_TIMEOUT = value
    assert found(relay_checks.check_publish_timeout) == ["relay.E001"]


@pytest.mark.parametrize("value", ["relay 1", "a/b", "é", "x" * 250, None], ids=str)
def test_check_instance_id_relay_e002(settings, value):
    """Kafka would refuse the member, again and again."""
    settings.RELAY_INSTANCE_ID = "relay-1.a_b"
    assert found(relay_checks.check_instance_id) == []
    settings.RELAY_INSTANCE_ID = value
    assert found(relay_checks.check_instance_id) == ["relay.E002"]


def test_checks_ids_are_unique():
    """An id says one thing, so that it can be silenced and searched for."""
    counts = Counter(name for module in (checks, relay_checks) for name, _ in declared(module))
    assert len(counts) >= 8
    assert [name for name, count in counts.items() if count > 1] == []


@pytest.mark.parametrize("module", [checks, relay_checks], ids=lambda module: module.__name__)
def test_checks_all_have_a_hint(module):
    """Each says what to do about it."""
    assert [name for name, words in declared(module) if "hint" not in words] == []


def test_checks_are_registered(settings):
    """`manage.py check` runs them all."""
    settings.KAFKA_CONSUMER_CONFIG = {}
    settings.GRIP_PROXIES = []
    settings.MIDDLEWARE = []
    settings.KAFKASSE_TOPIC_PATTERN = "("
    settings.KAFKASSE_READERS = 0
    settings.RELAY_PUBLISH_TIMEOUT = 0
    names = {message.id for message in run_checks()}
    assert names >= {f"kafkasse.E00{number}" for number in range(1, 6)} | {"relay.E001"}
