"""Cursors: there and back, what is refused, and how long they get."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafkasse import cursor
from kafkasse.exceptions import CursorError
from kafkasse.stream import Stream
from tests.kafkasse.test_topics import ids, names

LARGEST = 2**63 - 1
SAFE = frozenset(string.ascii_letters + string.digits + "._~-")
"""What may stand in a Last-Event-ID without a CORS preflight."""
ALIKE = ("topic-1912", "topic-2849")
"""Two names of one hash: their tags have the same name part."""

offsets = st.integers(0, LARGEST) | st.sampled_from([0, 1, 35, 36, 1295, 1296, 36**12, LARGEST])
vectors = st.lists(offsets, min_size=1, max_size=40).map(lambda found: dict(enumerate(found)))


def one(topic_id=""):
    """Return the stream of one topic."""
    return Stream(("orders",)).tagged({"orders": cursor.tag("orders", topic_id)})


def written(positions, stream=None):
    """Return the cursor of a client of one topic."""
    return (stream or one()).event_id({("orders", each): at for each, at in positions.items()})


@st.composite
def clients(draw, min_topics=1, max_topics=4):
    """Draw a stream of whole topics, and where a client is in each of their partitions."""
    topics = draw(st.lists(names, min_size=min_topics, max_size=max_topics, unique=True).map(sorted))
    stream = Stream(tuple(topics)).tagged({topic: cursor.tag(topic, draw(ids)) for topic in topics})
    places = {topic: draw(vectors) for topic in topics}
    return stream, {(topic, each): at for topic, found in places.items() for each, at in found.items()}


def by_tag(stream, positions):
    """Return what a decoded cursor has of these positions."""
    found = {tag: {} for tag in stream.tags.values()}
    for (topic, partition), position in positions.items():
        found[stream.tags[topic]][partition] = position
    return found


VALID = written({0: 5, 1: 6})
SECTIONS = "1abcdefgh.0-1.1abcdefgh~1~1ijklmnop~2"
JUNK = {
    "partition beyond 31 bits": VALID.split(".")[0] + ".zzzzzz-1",
    "empty": "",
    "10 KB": "1abcdefgh.0-1" + ".1" * 5000 + ".",
    "too long": "1abcdefgh.0-1" + ".1" * 9000,
    "too many sections": "1abcdefgh.0-1." + "~".join(f"1{each:08}~1" for each in range(2000)),
    "10 KB of digits": "1" * 10_000,
    "NUL": VALID + "\0",
    "NUL inside": VALID.replace(".", "\0", 1),
    "trailing newline": VALID + "\n",
    "space": " " + VALID,
    "upper case": VALID.upper(),
    "arabic digits": "1abcdefgh.٣-٤",
    "fullwidth digits": "1abcdefgh.0-\uff11",
    "superscript": "1abcdefgh.0-²",
    "negative position": "1abcdefgh.0--1",
    "negative entry": "1abcdefgh.0-1.-1",
    "beyond 64 bits": "1abcdefgh.0-1y2p0ij32e8e8",
    "entry beyond 64 bits": "1abcdefgh.0-1.1y2p0ij32e8e8",
    "entry of a section beyond 64 bits": "1abcdefgh.0-1.1abcdefgh~1~1ijklmnop~1y2p0ij32e8e8",
    "13 digits": "1abcdefgh.0-zzzzzzzzzzzzz",
    "14 digits": "1abcdefgh.0-00000000000001",
    "7 digits of a partition": "1abcdefgh.0000000-1",
    "another version": "2abcdefgh.0-1",
    "no tag": "0-1",
    "short tag": "1abcdefg.0-1",
    "tag of names alone": "1abcdef.0-1.1",
    "long tag": "1abcdefghi.0-1",
    "no own": "1abcdefgh",
    "no position": "1abcdefgh.0",
    "empty position": "1abcdefgh.0-",
    "empty partition": "1abcdefgh.-1",
    "empty entry": "1abcdefgh.0-1..2",
    "ends with a dot": "1abcdefgh.0-1.",
    "plus": "1abcdefgh.0-+1",
    "underscore": "1abcdefgh.0-1_0",
    "alone with more": "1abcdefgh.0-1.-.1",
    "alone with sections": "1abcdefgh.0-1.-~1abcdefgh~1",
    "section of another topic only": "1abcdefgh.0-1.1ijklmnop~2",
    "section twice": SECTIONS + "~1ijklmnop~3",
    "own section twice": SECTIONS + "~1abcdefgh~1",
    "section without a vector": SECTIONS + "~1qrstuvwx",
    "section of an empty vector": SECTIONS + "~1qrstuvwx~",
    "section of another version": SECTIONS + "~2qrstuvwx~1",
    "section with a short tag": SECTIONS + "~1qrstuvw~1",
    "section alone": SECTIONS + "~1qrstuvwx~-",
    "section ends with a dot": SECTIONS + ".",
    "ends with a tilde": SECTIONS + "~",
    "begins with a tilde": SECTIONS.replace(".1abcdefgh~", ".~1abcdefgh~"),
    "two tildes": SECTIONS.replace("~1ijk", "~~1ijk"),
    "vector before sections": SECTIONS.replace(".1abcdefgh~", ".1.1abcdefgh~"),
    "hexadecimal": "0x10",
    "kafka's own": "orders:0:5",
    "json": '{"0":5}',
    "surrogate": "\ud800",
}


def value_of(text):
    """Return the number that base-36 digits stand for, digit by digit."""
    total = 0
    for digit in text:
        total = total * 36 + (string.digits + string.ascii_lowercase).index(digit)
    return total


@given(offsets)
def test_encode_number_is_base_36_without_leading_zero(number):
    """The digits are right, and as few as can be."""
    text = cursor.encode_number(number)
    assert value_of(text) == number
    assert text == "0" or not text.startswith("0")
    assert cursor.decode_number(text) == number


@given(st.lists(offsets | st.integers(1290, 1300), max_size=5), st.integers(0, 3000))
def test_encoder_encodes_runs_of_numbers_alike(begins, count):
    """Wherever it is sent back to, and over the ends of what it has at hand."""
    encode = cursor.encoder()
    for begin in begins:
        for number in range(begin, begin + count, 97):
            assert encode(number) == cursor.encode_number(number)


@given(clients())
def test_decode_written_gives_tags_and_positions_back(client):
    """Nothing gets lost on the way to a client and back, of one topic or of several."""
    stream, positions = client
    found = cursor.decode(stream.event_id(positions))
    assert found == cursor.Cursor(by_tag(stream, positions))
    assert list(found.positions) == list(stream.tags.values())


@given(clients(), st.data())
def test_decode_own_position_overrides_the_vector(client, data):
    """The proxy's vectors may be older or newer than the event that carries them."""
    stream, positions = client
    key, own = data.draw(st.sampled_from(sorted(positions))), data.draw(offsets)
    head = cursor.head(stream.tags[key[0]], key[1])
    text = f"{head}{cursor.encode_number(own)}.{stream.rest(positions)}"
    assert cursor.decode(text).positions == by_tag(stream, {**positions, key: own})


@given(names, ids, st.integers(0, 5000), offsets)
def test_decode_without_vector_knows_one_partition(topic, topic_id, partition, position):
    """A vector is no must."""
    tag = cursor.tag(topic, topic_id)
    text = cursor.head(tag, partition) + cursor.encode_number(position)
    assert cursor.decode(text) == cursor.Cursor({tag: {partition: position}})


def test_decode_own_partition_may_be_behind_the_vector():
    """The topic got it after the vector was written."""
    assert cursor.decode("1abcdefgh.3-9.1.2").positions == {"1abcdefgh": {0: 1, 1: 2, 3: 9}}


def test_decode_sections_are_read():
    """What the junk below is made of is none itself."""
    assert cursor.decode(SECTIONS).positions == {"1abcdefgh": {0: 1}, "1ijklmnop": {0: 2}}


def test_decode_a_single_section_is_read():
    """A topic may be named before its vector, also where it is the only one."""
    assert cursor.decode("1abcdefgh.1-9.1abcdefgh~1.2") == cursor.Cursor({"1abcdefgh": {0: 1, 1: 9}})


@pytest.mark.parametrize("text", JUNK.values(), ids=JUNK)
def test_decode_junk_raises_cursor_error(text):
    """What no stream wrote is refused."""
    with pytest.raises(CursorError):
        cursor.decode(text)


@pytest.mark.parametrize("name", ["10 KB", "ends with a dot"])
def test_decode_junk_without_its_last_character_is_a_cursor(name):
    """It is refused for what its name says, and for nothing else."""
    assert cursor.decode(JUNK[name][:-1]).positions["1abcdefgh"][0] == 1


@given(
    st.text()
    | st.text(alphabet="01az.-~", max_size=40)
    | st.text(alphabet="01az.-~٣\0", max_size=30).map(VALID.__add__)
    | st.text(alphabet="01az.-~٣\0", max_size=30).map(SECTIONS.__add__)
)
def test_decode_any_text_raises_nothing_else(text):
    """Whatever a client sends is a cursor or a `CursorError`."""
    try:
        found = cursor.decode(text)
    except CursorError:
        return
    assert found.positions
    assert all(re.fullmatch("1[0-9a-z]{8}", tag) for tag in found.positions)
    assert all(
        partition >= 0 and 0 <= position <= LARGEST
        for places in found.positions.values()
        for partition, position in places.items()
    )


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", " 1", "1 ", "1\n", "1_0", "A", "٣", "²", "1" * 14, "1y2p0ij32e8e8", "z" * 13]
)
def test_decode_number_junk_raises_cursor_error(text):
    """A proxy's header is no more to be trusted than a client's."""
    with pytest.raises(CursorError):
        cursor.decode_number(text)


@given(clients(), st.none() | st.integers(0, 5000))
def test_written_uses_safe_characters_only(client, partition):
    """A browser resumes without a preflight, and no header or path is split."""
    stream, positions = client
    (key, position), *_ = positions.items()
    assert set(stream.event_id(positions)) <= SAFE
    if partition is not None:
        assert set(stream.only(partition).event_id({(key[0], partition): position})) <= SAFE


@given(ids, st.lists(st.integers(10**12, 10**15), min_size=8, max_size=8))
def test_written_eight_partitions_fits_128_bytes(topic_id, positions):
    """Each event carries one."""
    assert len(written(dict(enumerate(positions)), one(topic_id))) <= 128


@given(ids, st.integers(10**10, 10**12))
def test_written_500_partitions_fits_5_kb(topic_id, position):
    """It is sent in a header, and servers take 8 KB of them."""
    assert len(written(dict.fromkeys(range(500), position), one(topic_id))) <= 5 * 1024


@pytest.mark.parametrize(("topics", "partitions"), [(1, 999), (2, 499), (10, 99), (500, 1)])
def test_decode_a_thousand_channels_is_read(topics, partitions):
    """The longest that is written can be read, however many topics the partitions are of."""
    names = sorted(f"topic-{each}" for each in range(topics))
    stream = Stream(tuple(names)).tagged({name: cursor.tag(name, "id") for name in names})
    positions = {(name, each): LARGEST for name in names for each in range(partitions)}
    text = stream.event_id(positions)
    assert len(text) <= cursor.MAX_LENGTH
    assert cursor.decode(text).positions == by_tag(stream, positions)


@given(st.lists(names, min_size=2, max_size=50, unique=True), ids)
def test_tag_tells_topics_apart(topics, topic_id):
    """The cursor of another topic is known as such."""
    assert len({cursor.tag(topic, topic_id) for topic in topics}) == len(topics)


@given(names, st.lists(ids, min_size=2, max_size=20, unique=True))
def test_tag_tells_topics_of_one_name_apart(topic, topic_ids):
    """A topic that was deleted and created again is another one; the name is still known."""
    tags = {cursor.tag(topic, each) for each in topic_ids}
    assert len(tags) == len(topic_ids)
    assert {tag[:5] for tag in tags} == {cursor.tag(topic)[:5]}


@given(names, ids)
def test_tag_has_nine_digits_of_base_36(topic, topic_id):
    """Each tag has the same length, or a cursor could not be taken apart."""
    assert re.fullmatch("1[0-9a-z]{8}", cursor.tag(topic, topic_id))


@given(names, ids, names)
def test_is_tag_of_goes_by_the_name(topic, topic_id, other):
    """Whatever Kafka called the topic, its tag is of this name, and of no other."""
    assert cursor.is_tag_of(cursor.tag(topic, topic_id), topic)
    assert cursor.is_tag_of(cursor.tag(other, topic_id), topic) == (other == topic)


def test_tag_of_names_of_one_hash_is_not_the_same():
    """Four digits are few, so a tag says the name twice."""
    first, second = ALIKE
    assert cursor.is_tag_of(cursor.tag(first), second)
    assert cursor.tag(first) != cursor.tag(second)
    assert cursor.tag(first, "same-id") != cursor.tag(second, "same-id")


@pytest.mark.parametrize("text", ["", "1", cursor.tag("orders")[:4], "2" + cursor.tag("orders")[1:]])
def test_is_tag_of_no_tag_is_false(text):
    """What is too short or of another version is nobody's."""
    assert not cursor.is_tag_of(text, "orders")


def test_tag_alone_of_one_partitions_cursor_is_its_tag_and_partition():
    """Whoever comes back with it goes on with this partition."""
    text = one("id").only(2).event_id({("orders", 2): 8})
    assert cursor.tag_alone(text) == (cursor.tag("orders", "id"), 2)


@pytest.mark.parametrize("text", ["", "nonsense", written({0: 1}), VALID, SECTIONS, "1abcdefgh.0-1"])
def test_tag_alone_of_another_cursor_is_none(text):
    """A topic of one partition may get more."""
    assert cursor.tag_alone(text) is None


@pytest.mark.parametrize(
    ("vectors", "expected"),
    [
        ({"1abcdefgh": "1.2"}, "1.2"),
        ({"1abcdefgh": "1.2", "1ijklmnop": "3"}, "1abcdefgh~1.2~1ijklmnop~3"),
    ],
)
def test_rest_names_topics_only_where_there_are_several(vectors, expected):
    """One topic's tag stands in front already."""
    assert cursor.rest(vectors) == expected


def test_tag_is_the_same_in_every_process():
    """A cursor outlives the server that wrote it, so its grammar and its tags are promises."""
    assert written({0: 1, 1: 36}) == cursor.tag("orders") + ".0-1.1.10"
    assert cursor.tag("orders") == "1ekhmuthc"
    assert cursor.tag("orders", "AAAAAAAAAAEAAAAAAAAAAg") == "1ekhm2c88"
