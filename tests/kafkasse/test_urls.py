"""Paths: what is a topic's URL and what is none, through the whole stack of Django."""

import re

import pytest
from django.test import Client
from django.urls import resolve, reverse
from hypothesis import given
from hypothesis import strategies as st

from kafkasse import cursor
from kafkasse.converters import CursorConverter, TopicConverter, TopicsConverter
from tests.kafkasse.test_topics import kafka_accepts, names

LARGEST = 2**63 - 1
TAG, OTHER = cursor.tag("a"), cursor.tag("other")
some_names = st.lists(names, min_size=1, max_size=4, unique=True)

HOSTILE = [
    "/events/a%2Cb/",
    "/events/a,b/",
    "/events/a;filter=x/",
    "/events/a%3Bfilter=x/",
    "/events/a%0D%0AGrip-Hold:%20stream/",
    "/events/a%0A/",
    "/events/a%0A",
    "/events/%0Aa/",
    "/events/a%0D/",
    "/events/a%00/",
    "/events/%00/",
    "/events/./",
    "/events/../",
    "/events/%2E%2E/",
    "/events/%2E/",
    "/events/..",
    f"/events/{'x' * 250}/",
    f"/events/{'x' * 10_000}/",
    "/events//",
    "/events/",
    "/events/a:0/",
    "/events/a%3A0/",
    "/events/a~/",
    "/events/a%20b/",
    "/events/%20/",
    "/events/%C3%A9/",
    "/events/%FF/",
    "/events/%D9%A3/",
    "/events/a%25/",
    "/events/%25I/",
    "/events/%(x)s/",
    "/events/%E2%80%A8/",
    "/events/a%2Fb/",
    "/events/a/b/",
    "/events/a/next",
    "/next/events/a",
    "/next/events/a/x%0A/",
    "/next/events/a/X/",
    "/next/events/a/..%2F/",
    f"/next/events/a/{'1' * 20_000}/",
    "/events/__consumer_offsets/",
    "/events/__consumer_offsets",
    "/next/events/__consumer_offsets/",
    "/next/events/__consumer_offsets/1abcdefgh.0-1/",
    "/events/__transaction_state/",
    "/events/_schemas/",
    "/events/_confluent-metrics/",
    "/events/_redpanda.audit_log/",
    "/events/+/",
    "/events/a+/",
    "/events/+a/",
    "/events/a++b/",
    "/events/a+./",
    "/events/..+a/",
    "/events/a%20b+c/",
    "/events/a+b:0/",
    "/events/a+b,c/",
    "/events/a+%0Ab/",
    "/events/a%2B/",
    f"/events/a+{'x' * 250}/",
    "/events/a+__consumer_offsets/",
    "/events/a+__consumer_offsets",
    "/events/_schemas+a/",
    "/next/events/a+__consumer_offsets/",
    "/next/events/a+__consumer_offsets/1abcdefgh.0-1/",
    "/events/a+b/0/0/",
    "/events/a/0/00/",
    "/events/a/0/9223372036854775808/",
    "/events/__consumer_offsets/0/0/",
    "/nothing/",
    "/Events/a/",
]


@pytest.mark.parametrize("method", ["get", "head"])
@pytest.mark.parametrize("path", HOSTILE, ids=lambda path: ascii(path[:40]))
def test_path_hostile_is_not_found(path, method):
    """Neither an error of ours nor a hold on a channel that the name does not say; Kafka is not even asked."""
    answer = getattr(Client(), method)(path)
    assert answer.status_code == 404
    assert not [name for name in answer.headers if name.lower().startswith("grip")]


@pytest.mark.parametrize(
    "text",
    [
        "-",
        "nonsense",
        f"{TAG}.0-zzzzzzzzzzzzz",
        f"{TAG}.0-1.",
        f"{TAG}.0-1.-",
        f"{OTHER}.0-1",
        f"{TAG}.0-1.{TAG}~1~{OTHER}~1",
    ],
)
def test_path_of_a_cursor_that_no_page_had_is_not_found(text):
    """Neither of junk, nor of one partition alone, nor of another topic."""
    assert Client().get(f"/next/events/a/{text}/").status_code == 404


@given(some_names)
def test_topics_url_leads_back_to_the_topics(topics):
    """Names that Kafka takes have a URL, with the slash and without, and in one order."""
    path = reverse("kafkasse:events", args=[tuple(topics)])
    assert path == f"/events/{'+'.join(topics)}/"
    found = {"topics": tuple(sorted(topics))}
    assert resolve(path).kwargs == resolve(path.removesuffix("/")).kwargs == found


@given(some_names, st.randoms(use_true_random=False))
def test_topics_url_of_any_order_is_the_same_stream(topics, random):
    """Each topic is there once, so all who want the same share the answers."""
    asked = topics + random.choices(topics, k=2)
    random.shuffle(asked)
    assert resolve(f"/events/{'+'.join(asked)}/").kwargs == {"topics": tuple(sorted(topics))}


@given(names)
def test_topics_url_of_one_name_is_that_topics(topic):
    """Who has one name need not make a tuple of it."""
    assert reverse("kafkasse:events", args=[topic]) == reverse("kafkasse:events", args=[(topic,)])


@pytest.mark.parametrize("path", ["/events/b+a/", "/events/b%2Ba/"])
def test_topics_url_with_an_encoded_plus_is_the_same(path):
    """Clients encode what they need not."""
    answer = Client().options(path)
    assert answer.status_code == 204
    assert answer.resolver_match.kwargs == {"topics": ("a", "b")}


@given(names, st.integers(0, LARGEST), st.integers(0, LARGEST))
def test_record_url_is_of_one_topic(topic, partition, offset):
    """A place in a log is in one log."""
    path = reverse("kafkasse:record", args=[(topic,), partition, offset])
    assert path == f"/events/{topic}/{partition}/{offset}/"
    assert resolve(path).kwargs == {"topics": (topic,), "partition": partition, "offset": offset}


@given(st.text(alphabet="aZ0._-,;: \r\n\0%é٣", min_size=1, max_size=260))
def test_topic_converter_takes_what_kafka_takes(text):
    """The converter's rule is Kafka's."""
    converter = TopicConverter()
    if kafka_accepts(text):
        assert converter.to_python(text) == (text,)
        assert converter.to_url((text,)) == converter.to_url(text) == text
    else:
        with pytest.raises(ValueError, match=re.escape(text)):
            converter.to_python(text)


@given(st.text(alphabet="aZ._+ \n\0é", min_size=1, max_size=12))
def test_topics_converter_takes_what_kafka_takes_of_each(text):
    """One bad name among good ones is bad."""
    converter, topics = TopicsConverter(), text.split("+")
    if all(map(kafka_accepts, topics)):
        found = converter.to_python(text)
        assert found == tuple(sorted(set(topics)))
        assert converter.to_python(converter.to_url(found)) == found
    else:
        with pytest.raises(ValueError, match=re.escape(text)):
            converter.to_python(text)


def test_cursor_converter_gives_the_text():
    """A cursor is judged by who reads it."""
    assert CursorConverter().to_python("x") == CursorConverter().to_url("x") == "x"


@pytest.mark.parametrize(
    "rest",
    [".zzzzzzzzzzzzz" * 1000, "." + "~".join(f"1{each:08}~zzzzzzzzzzzzz" for each in range(500))],
    ids=["one topic", "500 topics"],
)
def test_follow_cursor_of_a_thousand_channels_has_a_url(rest):
    """The largest stream that is served can be paged."""
    text = "1abcdefgh.0-1" + rest
    found = resolve(reverse("kafkasse:follow", args=[("t", "u"), text]))
    assert found.kwargs == {"topics": ("t", "u"), "position": text}


def test_refill_terms_are_no_cursor():
    """The two stand at the same place in a path."""
    terms = f"e{TAG}.0-1.{TAG}~1~{OTHER}~2_h5"
    path = reverse("kafkasse:refill", args=[("a", "b"), terms])
    assert resolve(path).kwargs == {"topics": ("a", "b"), "terms": terms}
    assert resolve(reverse("kafkasse:follow", args=[("a", "b"), f"{TAG}.0-1", terms])).kwargs == {
        "topics": ("a", "b"),
        "position": f"{TAG}.0-1",
        "terms": terms,
    }
