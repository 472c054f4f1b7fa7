"""A real browser's EventSource, on a page of another origin."""

import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import sync_playwright

from tests.harness.sse import EventSourceClient
from tests.harness.wait import until

pytestmark = pytest.mark.acceptance

PAGE = b"""<!doctype html><title>test</title><script>
window.seen = [];
window.listen = (url) => {
  const events = new EventSource(url);
  for (const type of ["stream-open", "stream-reset", "message", "binary", "tombstone"])
    events.addEventListener(type, (event) => window.seen.push([type, event.data, event.lastEventId]));
  events.onerror = () => window.seen.push(["error", String(events.readyState), ""]);
};
</script>"""
ARGUMENTS = [
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Page(BaseHTTPRequestHandler):
    """Serves the page."""

    def do_GET(self):
        """Answer any path."""
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def origin():
    """Return the origin of a server that has the page and nothing else."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def page(origin):
    """Return the page in Debian's Chromium, or whichever is on the PATH."""
    path = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS, chromium_sandbox=False)
        tab = browser.new_page()
        tab.goto(origin)
        yield tab
        browser.close()


def test_page_of_an_allowed_origin_gets_events_and_resumes_after_the_proxy_restarted(
    kafka, unused_topics, topic, make_stack, origin, page
):
    """`EventSource` shows each kind of event, and comes back by itself with nothing lost and nothing twice."""
    stack = make_stack(kafka, django_env={"CORS_ALLOWED_ORIGINS": origin})

    def seen(kind):
        page.wait_for_timeout(20)  # the driver's own loop has to turn
        return [data for type_, data, _ in page.evaluate("window.seen") if type_ == kind]

    url = stack.url(f"/events/{topic}/")
    with EventSourceClient(
        url, reconnect=True
    ) as client:  # a browser gives up on a proxy that is still starting
        client.wait_open()
    page.evaluate("url => window.listen(url)", url)
    until(lambda: seen("stream-open"), 15, lambda: f"open; {page.evaluate('window.seen')}")
    kafka.produce(topic, b"one\ntwo 100% \xe2\x98\x83", b"\xff\x00")
    kafka.produce(topic, None, key=b"gone", partition=1)
    until(
        lambda: seen("tombstone") and seen("binary"), 15, lambda: f"records; {page.evaluate('window.seen')}"
    )
    assert seen("message") == ["one\ntwo 100% \u2603"]
    assert (seen("binary"), seen("tombstone")) == (["/wA="], ['{"key":"gone"}'])
    stack.pushpin.kill()
    kafka.produce(topic, b"while away", partition=2)
    stack.pushpin.start()
    until(lambda: len(seen("message")) > 1, 30, lambda: f"the rest; {page.evaluate('window.seen')}")
    assert seen("message") == ["one\ntwo 100% \u2603", "while away"]
    assert not seen("stream-reset")


def test_page_of_another_origin_gets_nothing(kafka, stack, topic, origin, page):
    """Without the setting, the browser keeps the stream from other origins' pages."""
    page.evaluate("url => window.listen(url)", stack.url(f"/events/{topic}/"))
    page.wait_for_function("window.seen.length > 0", timeout=15_000)
    assert page.evaluate("window.seen") == [["error", "2", ""]]
