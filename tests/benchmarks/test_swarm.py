"""The benchmark's client load finds what it is there to find: each fault is fed to it by a scripted server."""

import socket
import threading
import time
from contextlib import contextmanager, suppress

import pytest

from tests.benchmarks.swarm import Load, Swarm

OPEN = b'event: stream-open\nid: 0\ndata: {"topic":"t"}\n\n'


def record(seq, partition=0, t=1):
    """Return one event as the relay writes it."""
    return b'event: message\nid: %d\ndata: {"t":%d,"p":%d,"seq":%d,"pad":"x"}\n\n' % (seq, t, partition, seq)


def records(*numbers):
    """Return events of partition 0."""
    return b"".join(record(seq) for seq in numbers)


def chunked(body, size=11):
    """Return a response whose chunks cut lines and events anywhere."""
    chunks = [body[i : i + size] for i in range(0, len(body), size)]
    framed = b"".join(b"%x;note=1\r\n%s\r\n" % (len(c), c) for c in chunks)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\n\r\n"


def until_close(body):
    """Return a response that ends with its connection."""
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + body


@contextmanager
def serving(responses, requests):
    """Answer each connection with the next of `responses`, note its request, and close it; gives the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer():
            for response in responses:
                connection, _ = listener.accept()
                with connection, suppress(OSError):  # a refused client does not read on
                    requests.append(connection.recv(65536).decode())
                    connection.sendall(response)
                    connection.shutdown(socket.SHUT_WR)
                    connection.recv(1)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(30)


def count(*responses, clients=None, expect=5, read=None, requests=None, **options):
    """Return what swarm counts when each client, or connection, gets one of `responses`."""
    options = {"first": 0, "timeout": 30, **options}
    with serving(responses, [] if requests is None else requests) as port:
        load = Load(port, "/events/t/", clients or len(responses), expect, read=read, **options)
        with Swarm(load) as swarm:
            swarm.wait_ready()
            return swarm.result()


def faults(counted):
    """Return the figures that are 0 in a sound stream."""
    return {
        k: counted[k]
        for k in ("lost", "missing", "repeated", "out_of_order", "malformed", "failed")
        if counted[k]
    }


@pytest.mark.parametrize("read", [1, 7, 4096])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("response", [chunked, until_close])
def test_swarm_any_framing_line_end_and_cut_counts_each_record_once(response, end, read):
    """A sound stream is sound in each of its forms, cut at every byte."""
    body = b"\xef\xbb\xbfretry: 2000\n\n: hello\n" + OPEN + records(0, 1, 2, 3, 4)
    counted = count(response(body.replace(b"\n", end)), read=read)
    assert (counted["delivered"], counted["complete"], faults(counted)) == (5, 1, {})
    assert counted["notices"] == {"stream-open": 1}
    assert counted["without_id"] == 0


@pytest.mark.parametrize(
    ("numbers", "found"),
    [
        ((0, 1, 2, 3, 4), {}),
        ((0, 1, 4), {"lost": 2, "missing": 2}),
        ((2, 3, 4), {"lost": 2, "missing": 2}),
        ((0, 1, 2), {"missing": 2}),
        ((0, 1, 1, 2, 3, 4), {"repeated": 1}),
        ((0, 1, 2, 3, 4, 4), {"repeated": 1}),
        ((0, 1, 2, 0, 1, 2, 3, 4), {"repeated": 3}),
        ((0, 2, 1, 3, 4), {"out_of_order": 1}),
        ((0, 4, 2, 3, 1), {"out_of_order": 3}),
        ((0, 4, 2, 2, 3), {"out_of_order": 2, "repeated": 1, "lost": 1, "missing": 1}),
    ],
)
def test_swarm_numbers_as_given_tells_lost_repeated_and_late_apart(numbers, found):
    """Holes are remembered: a late record is neither lost nor repeated."""
    assert faults(count(chunked(OPEN + records(*numbers)))) == found


def test_swarm_partitions_and_clients_are_judged_apart():
    """What one client or partition has seen says nothing about another."""
    mixed = b"".join(record(seq, partition) for seq in range(3) for partition in range(2))
    holed = b"".join(record(seq, partition) for seq, partition in [(0, 0), (0, 1), (1, 1), (2, 0), (2, 1)])
    counted = count(chunked(OPEN + mixed), chunked(OPEN + holed), expect=6)
    assert faults(counted) == {"lost": 1, "missing": 1}
    assert (counted["complete"], counted["closed"]) == (1, 2)


def test_swarm_without_first_starts_where_the_client_starts():
    """A client that joins late has lost nothing before its first record."""
    assert faults(count(chunked(OPEN + records(7, 8, 9, 10, 11)), first=None)) == {}


def test_swarm_fields_in_any_order_and_on_several_data_lines_are_found():
    """A value of several lines comes as several data lines of one event."""
    event = b'id: 1\ndata:{"pad":"\\"t","seq": 0,\ndata: "p": 0,\ndata\ndata: "t":1}\n\n'
    counted = count(chunked(OPEN + event), expect=1)
    assert (counted["delivered"], faults(counted)) == (1, {})


def test_swarm_other_events_and_notices_are_no_records():
    """Only `message` is a record; a block without data is no event; an unfinished one is none either."""
    body = (
        OPEN
        + b'event: stream-reset\ndata: {"seq":0}\n\nevent: tombstone\ndata: {}\n\nevent: message\nid: 1\n\n'
    )
    counted = count(chunked(body + record(0) + record(1)[:-1]), expect=1)
    assert counted["notices"] == {"stream-open": 1, "stream-reset": 1}
    assert (counted["other_events"], counted["delivered"], faults(counted)) == (1, 1, {})


def test_swarm_record_without_number_or_id_is_reported():
    """A value that is not the writer's is counted as malformed, an event without id as such."""
    counted = count(chunked(OPEN + b"id: 1\ndata: hello\n\n" + b'data: {"t":1,"p":0,"seq":0}\n\n'), expect=1)
    assert (faults(counted), counted["without_id"]) == ({"malformed": 1}, 1)


def test_swarm_refused_client_is_failed_with_its_status():
    """A status other than 200 is a failure, and does not hold up the others' `ready`."""
    refusal = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 2\r\n\r\nno"
    counted = count(refusal, chunked(OPEN + records(0)), expect=1)
    assert (counted["statuses"], faults(counted)) == ({"502": 1, "200": 1}, {"missing": 1, "failed": 1})


def test_swarm_latency_percentiles_follow_the_records_own_time():
    """The histogram is filled from `t`: a record written in 1970 is more than 50 years late."""
    counted = count(chunked(OPEN + records(0, 1, 2, 3, 4)))
    year_ms = 365.25 * 86400e3
    assert 50 * year_ms < counted["p50_ms"] <= counted["p99_ms"] <= counted["max_ms"] < 300 * year_ms


def test_swarm_ready_on_head_needs_no_notice():
    """A plain stream has no `stream-open`; its response head is enough."""
    assert faults(count(until_close(records(0)), expect=1, ready="head")) == {}


def test_swarm_that_returns_goes_on_after_its_last_whole_event():
    """It waits as long as it was told to, also where it was sent away before the first event, or gets no answer."""
    requests = []
    cut_short = b'event: message\nid: 2\ndata: {"t":1,'
    responses = [
        chunked(b"retry: 5\n\n"),
        chunked(OPEN + records(0, 1) + b"retry: 300\n" + cut_short),
        b"",
        until_close(records(2, 3, 4)),
    ]
    began = time.monotonic()
    counted = count(*responses, clients=1, requests=requests, returns=1, header="Last-Event-ID: 7")
    assert (counted["complete"], counted["closed"], faults(counted)) == (1, 3, {})
    asked = [
        line for request in requests for line in request.splitlines() if line.startswith("Last-Event-ID")
    ]
    assert asked == [f"Last-Event-ID: {number}" for number in (7, 7, 1, 1)]
    assert time.monotonic() - began > 0.6


def test_swarm_that_does_not_return_is_over():
    """Where nobody comes back, what is missing is told at once."""
    assert faults(count(chunked(OPEN + records(0, 1)))) == {"missing": 3}


def test_swarm_that_returns_takes_an_error_for_an_answer():
    """A browser does not come back after one."""
    refusal = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 2\r\n\r\nno"
    counted = count(chunked(b"retry: 5\n\n" + OPEN + records(0)), refusal, clients=1, returns=1)
    assert (counted["statuses"], faults(counted)) == ({"200": 1, "502": 1}, {"missing": 4, "failed": 1})
