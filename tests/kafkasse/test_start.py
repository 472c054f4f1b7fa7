"""What a stream's URL may ask for: each form, each limit, and nothing but a `ParameterError` for all the rest."""

import json
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from django.http import QueryDict
from hypothesis import example, given
from hypothesis import strategies as st

from kafkasse import start
from kafkasse.exceptions import ParameterError
from kafkasse.start import Earliest, Exactly, Last, Latest, Now, Request, Since, Until

LARGEST = 2**63 - 1
NOW = 1_769_862_600.25
"""2026-01-31T12:30:00.25Z."""
NOW_MS = 1_769_862_600_250
MAX_LAST = 1000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NAMES = ("offset", "partition", "last", "since", "until", "heartbeat")
MODES = (Latest, Earliest, Last, Since, Exactly)

zones = st.integers(-24 * 60 + 1, 24 * 60 - 1).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(1970, 1, 3), datetime(9999, 12, 30), timezones=zones)  # noqa: DTZ001 - zones are drawn
digits = st.text("0123456789", max_size=21)
values = (
    st.text(max_size=30)
    | st.text("0123456789-+:.,TtZzW smhd", max_size=30)
    | st.builds("{}{}{}".format, st.sampled_from(["", "-"]), digits, st.sampled_from(["", *"smhdx"]))
    | st.builds(
        "{:04}-{:02}-{:02}{}{:02}:{:02}:{:02}{}{:02}:{:02}".format,
        *(st.integers(0, 9999), st.integers(0, 13), st.integers(0, 32), st.sampled_from("T x")),
        *(st.integers(0, 24), st.integers(0, 60), st.integers(0, 60)),
        *(st.sampled_from("+- Z"), st.integers(0, 24), st.integers(0, 60)),
    )
    | st.sampled_from(["", "latest", "earliest", "now", "5", "-10m", "2026-01-31", "9" * 10_000])
)

NO_NUMBER = {
    "empty": "",
    "word": "new",
    "case": "Latest",
    "negative": "-1",
    "minus zero": "-0",
    "plus": "+1",
    "space before": " 7",
    "newline after": "7\n",
    "NUL": "7\0",
    "underscore": "1_0",
    "fraction": "7.0",
    "exponent": "1e5",
    "NaN": "NaN",
    "infinity": "inf",
    "hexadecimal": "0x10",
    "arabic digit": "٣",
    "fullwidth digit": "\uff17",
    "superscript": "²",
    "surrogate": "\ud800",
    "2^63": str(2**63),
    "20 digits": "0" * 19 + "7",
    "10 kB": "7" * 10_000,
}
NO_TIME = NO_NUMBER | {
    "no sign": "10m",
    "plus": "+10m",
    "months": "-1M",
    "weeks": "-1w",
    "two units": "-1h30m",
    "fraction of an hour": "-1.5h",
    "two signs": "--1h",
    "arabic minutes": "-٣m",
    "long before 1970": "-30000d",
    "overflowing": "-9999999999999999999d",
    "20 digits of minutes": "-" + "0" * 19 + "1m",
    "before 1970": "1969-12-31T23:59:59.999Z",
    "before 1970 by its zone": "1970-01-01T00:59+01:00",
    "year 0": "0000-01-01",
    "year 1, earlier by its zone": "0001-01-01T00:00+23:59",
    "year 10000": "10000-01-01",
    "week beyond year 9999": "9999-W52-7",
    "no such day": "2026-02-29",
    "no such month": "2026-13-01",
    "month only": "2026-01",
    "one digit": "2026-1-1",
    "leap second": "2016-12-31T23:59:60Z",
    "24 o'clock": "2026-01-31T24:00",
    "minute 60": "2026-01-31T12:60",
    "half a minute": "2026-01-31T12:30.5",
    "another separator": "2026-01-31x12:30",
    "date and zone": "2026-01-31+12:30",
    "date and Z": "2026-01-31Z",
    "no time": "2026-01-31T",
    "zone's minute 60": "2026-01-31T12:30+00:60",
    "zone of a day": "2026-01-31T12:30+24:00",
    "zone with seconds": "2026-01-31T12:30+01:00:30",
    "zone of one digit": "2026-01-31T12:30+1",
    "zone's name": "2026-01-31T12:30CET",
    "two spaces": "2026-01-31T12:30  01:00",
    "arabic year": "٢٠٢٦-01-31",
    "space after": "2026-01-31 ",
    "newline after a date": "2026-01-31\n",
    "10 kB of date": "2026-01-31T12:30:00." + "0" * 10_000,
    "10 kB of spaces": "2026-01-31" + " " * 10_000,
}
CONFLICTS = {
    "offset and last": ({"offset": "latest", "last": "5"}, "last"),
    "offset and since": ({"offset": "earliest", "since": "-1h"}, "since"),
    "last and since": ({"last": "5", "since": "-1h"}, "since"),
    "all three": ({"since": "-1h", "last": "5", "offset": "latest"}, "last"),
    "exact and last": ({"partition": "0", "offset": "5", "last": "5"}, "last"),
    "exact and since": ({"partition": "0", "offset": "5", "since": "-1h"}, "since"),
    "partition alone": ({"partition": "0"}, "partition"),
    "partition and last": ({"partition": "0", "last": "5"}, "partition"),
    "partition and since": ({"partition": "0", "since": "-1h"}, "partition"),
    "partition and until": ({"partition": "0", "until": "now"}, "partition"),
    "partition and latest": ({"partition": "0", "offset": "latest"}, "offset"),
    "partition and earliest": ({"partition": "0", "offset": "earliest"}, "offset"),
    "offset without partition": ({"offset": "5"}, "offset"),
}


def parse(**query):
    return start.parse(query, NOW, MAX_LAST)


def answer(query, now=NOW):
    """Return what is asked for, or the error that is raised."""
    try:
        return start.parse(query, now, MAX_LAST)
    except ParameterError as error:
        return error


def refusal(**query):
    with pytest.raises(ParameterError) as caught:
        parse(**query)
    return caught.value


def since(text):
    return parse(since=text).start.time


def milliseconds(moment):
    """Return the time in whole milliseconds, the zone's offset taken off by hand."""
    gone = moment.replace(tzinfo=UTC) - moment.utcoffset() - EPOCH
    return (gone.days * 86_400 + gone.seconds) * 1000 + gone.microseconds // 1000


def test_parse_nothing_is_what_comes_without_end():
    """The plain URL is the live stream."""
    assert parse() == Request(Latest(), until=None, heartbeat=None)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("offset=latest", Latest()),
        ("offset=earliest", Earliest()),
        ("last=1", Last(1)),
        ("last=1000", Last(MAX_LAST)),
        ("since=1769862600000", Since(1_769_862_600_000)),
        ("partition=3&offset=0", Exactly(3, 0)),
        ("offset=42&partition=0", Exactly(0, 42)),
        (f"partition={2**31 - 1}&offset={LARGEST}", Exactly(2**31 - 1, LARGEST)),
        ("partition=007&offset=0042", Exactly(7, 42)),
    ],
)
def test_parse_each_mode_is_that_start(query, expected):
    """Django's own mapping is understood, whatever the order."""
    assert start.parse(QueryDict(query), NOW, MAX_LAST) == Request(expected)


def test_parse_other_parameters_are_not_looked_at():
    """They belong to others, as does a parameter of another case."""
    assert parse(last_event_id="x", format="json", Offset="5", since_="") == Request(Latest())


@pytest.mark.parametrize(("query", "named"), CONFLICTS.values(), ids=CONFLICTS)
def test_parse_two_starts_are_refused(query, named):
    """Nobody has to guess which of them counts."""
    found = refusal(**query)
    assert found.parameter == named
    assert found.accepted


@pytest.mark.parametrize("mode", ["offset=earliest", "last=5", "since=-1h", "partition=1&offset=5", ""])
@pytest.mark.parametrize("rest", ["until=now&heartbeat=15", "until=-1m", "heartbeat=15"])
def test_parse_end_and_heartbeat_go_with_each_start(mode, rest):
    """They exclude nothing, and change nothing else."""
    alone = start.parse(QueryDict(mode), NOW, MAX_LAST)
    both = start.parse(QueryDict(f"{mode}&{rest}"), NOW, MAX_LAST)
    assert both.start == alone.start
    assert both != alone


@pytest.mark.parametrize("text", NO_NUMBER.values(), ids=NO_NUMBER)
@pytest.mark.parametrize("name", ["offset", "partition", "last", "heartbeat"])
def test_parse_no_number_is_refused_under_its_name(name, text):
    """Digits are 0 to 9, and few enough for Kafka."""
    query = {"partition": "7", "offset": "7"} if name in {"offset", "partition"} else {}
    found = refusal(**{**query, name: text})
    assert found.parameter == name
    assert len(found.accepted) == 1


@pytest.mark.parametrize(
    ("query", "named", "accepted"),
    [
        ({"last": "0"}, "last", "1 to 1000"),
        ({"last": "1001"}, "last", "1 to 1000"),
        ({"heartbeat": "4"}, "heartbeat", "5 to 300"),
        ({"heartbeat": "301"}, "heartbeat", "5 to 300"),
        ({"partition": str(2**31), "offset": "0"}, "partition", "0 to 2147483647"),
        ({"partition": "0", "offset": str(2**63)}, "offset", "0 to 9223372036854775807"),
    ],
)
def test_parse_number_out_of_range_is_refused_with_the_range(query, named, accepted):
    """One step too far is too far."""
    found = refusal(**query)
    assert (found.parameter, found.accepted) == (named, (accepted,))


def test_parse_heartbeat_takes_both_limits():
    """The limits themselves are inside."""
    assert [parse(heartbeat=text).heartbeat for text in ("5", "15", "300")] == [5, 15, 300]


@pytest.mark.parametrize(
    "text", ["", "late", "LATEST", " latest", "latest\n", "5", "-1", "now", "x" * 10_000]
)
def test_parse_offset_neither_word_names_the_words(text):
    """A number alone is no start, and is told what it lacks."""
    found = refusal(offset=text)
    assert found.parameter == "offset"
    assert found.accepted == ("latest", "earliest", "partition=0&offset=0")


@pytest.mark.parametrize("text", NO_TIME.values(), ids=NO_TIME)
@pytest.mark.parametrize("name", ["since", "until"])
def test_parse_no_time_is_refused_under_its_name(name, text):
    """What is no time, and what Kafka could not have kept, is told with all forms that are."""
    found = refusal(**{name: text})
    assert found.parameter == name
    assert found.accepted == (("now",) if name == "until" else ()) + start.TIMES


@pytest.mark.parametrize("form", start.TIMES)
def test_parse_accepted_times_are_accepted(form):
    """The examples that a client is shown work."""
    examples = form.split(": ", 1)[1].split(", ")
    assert all(since(text) == parse(until=text).until.time > 0 for text in examples)


@pytest.mark.parametrize(
    ("text", "back"),
    [
        ("-10s", 10_000),
        ("-10m", 600_000),
        ("-2h", 7_200_000),
        ("-1d", 86_400_000),
        ("-0m", 0),
        ("-007s", 7000),
    ],
)
def test_parse_relative_time_counts_back_from_now(text, back):
    """So long ago, to the millisecond."""
    assert since(text) == NOW_MS - back
    assert parse(until=text).until == Until(NOW_MS - back)


def test_parse_relative_time_to_the_epoch_and_no_further():
    """Time begins in 1970."""
    assert start.parse({"since": "-10s"}, 10.0, MAX_LAST).start == Since(0)
    with pytest.raises(ParameterError):
        start.parse({"since": "-10s"}, 9.999, MAX_LAST)


@given(st.integers(0, LARGEST))
@example(LARGEST)
@example(2026)
@example(20260131)
def test_parse_digits_are_milliseconds(number):
    """Neither a year nor a date, and never too many for Kafka."""
    assert since(str(number)) == number


def test_parse_time_to_come_is_accepted():
    """A client may be early."""
    assert since("2999-01-01") > NOW_MS
    assert parse(until="9999-12-31T23:59:59.999999-23:59").until.time == 253_402_387_139_999


def test_parse_until_now_is_no_time():
    """It means the log's end, which has no time; and it is no start."""
    assert parse(until="now").until == Now()
    assert refusal(since="now").parameter == "since"


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31T12:30:00Z",
        "2026-01-31T12:30:00",
        "2026-01-31T12:30",
        "2026-01-31 12:30",
        "2026-01-31t12:30z",
        "20260131T1230Z",
        "20260131T123000.000",
        "2026-01-31T12:30:00,0",
        "2026-01-31T12:30:00.000999999",
        "2026-W05-6T12:30",
        "2026-01-31T13:30+01",
        "2026-01-31T13:30+0100",
        "2026-01-31T13:30+01:00",
        "2026-01-31T13:30 01:00",
        "2026-01-31 13:30 01:00",
        "2026-01-31T12:30-00:00",
        "2026-01-31T07:00-05:30",
        "2026-02-01T12:29+23:59",
    ],
)
def test_parse_iso_forms_are_the_same_moment(text):
    """Long or short, with a zone or without: one moment, UTC where nothing else is said."""
    assert since(text) == 1_769_862_600_000


@pytest.mark.parametrize(
    "text", ["2026-01-31", "2026-W05-6", "2026-01-31T00", "2026-01-31 00", "2026-01-31T00:00Z"]
)
def test_parse_date_only_is_its_first_moment(text):
    """A day begins at midnight, UTC."""
    assert since(text) == 1_769_817_600_000


@given(moments, st.sampled_from("T "), st.sampled_from(["auto", "milliseconds", "seconds"]))
def test_parse_iso_with_any_zone_gives_the_moment_back(moment, separator, precision):
    """No zone is off by its offset, and a fraction is cut to what Kafka keeps."""
    text = moment.isoformat(separator, precision)
    expected = milliseconds(moment)
    assert since(text) == (expected // 1000 * 1000 if precision == "seconds" else expected)


@given(moments)
def test_parse_iso_without_zone_is_utc(moment):
    """The server's own zone is nobody's business."""
    assert since(moment.replace(tzinfo=None).isoformat()) == milliseconds(moment.replace(tzinfo=UTC))


@given(moments)
def test_parse_iso_unencoded_plus_is_a_plus(moment):
    """A URL's plus means a space; people write it all the same."""
    text = moment.isoformat()
    unencoded = QueryDict(f"since={text}&until={text}")
    assert unencoded["since"] == text.replace("+", " ")
    found = start.parse(unencoded, NOW, MAX_LAST)
    assert (found.start, found.until) == (Since(milliseconds(moment)), Until(milliseconds(moment)))


@given(st.dictionaries(st.sampled_from(NAMES), values), st.floats(0, 2**40))
def test_parse_any_text_is_a_request_or_a_parameter_error(query, now):
    """Whatever a client sends is understood within the limits, or told in a short line that repeats nothing of it."""
    found = answer(query, now)
    if isinstance(found, ParameterError):
        assert found.parameter in query
        assert found.accepted
        assert len(json.dumps([str(found), found.parameter, found.accepted])) < 500
    else:
        assert isinstance(found.start, MODES)
        times = [each.time for each in (found.start, found.until) if isinstance(each, Since | Until)]
        assert all(0 <= time <= LARGEST for time in times)
        assert ("until" in query, "heartbeat" in query) == (bool(found.until), bool(found.heartbeat))


@given(st.sampled_from(NAMES), values)
def test_parse_refusal_does_not_depend_on_the_value(name, text):
    """Nothing of what was sent comes back, so it can be neither long nor markup."""
    found = answer({name: text})
    if isinstance(found, ParameterError):
        markup = refusal(**{name: "<b>"})
        assert (str(found), vars(found)) == (str(markup), vars(markup))


def test_parse_result_cannot_be_changed():
    """It is a value: equal, hashable, frozen."""
    assert len({parse(last="5", until="now"), parse(last="5", until="now")}) == 1
    with pytest.raises(AttributeError):
        parse().start = Earliest()


@pytest.mark.parametrize("query", [{"since": ""}, {"heartbeat": "x"}, {"last": "1", "offset": "latest"}])
def test_refusal_says_what_to_do_in_one_line(query):
    """The line stands in a browser's network tab."""
    assert re.fullmatch(r"[a-z]+ .+; [^\n]+", str(refusal(**query)))
