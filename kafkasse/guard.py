"""What every view of a topic shares: who is let through, and what becomes of an error."""

from __future__ import annotations

import logging
from functools import wraps
from typing import TYPE_CHECKING, Any

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_http_methods

from kafkasse import access, deadline, documents, grip, sse
from kafkasse.exceptions import KafkaUnavailableError, ReadersBusyError, TooManyChannelsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http.response import HttpResponseBase

logger = logging.getLogger(__name__)

METHODS = ["GET", "HEAD", "OPTIONS"]
RETRYABLE = (KafkaUnavailableError, ReadersBusyError)


def why(error: Exception) -> str:
    """Return what went wrong in one line, with what the library below said of it."""
    return f"{error} ({error.__cause__})" if error.__cause__ else str(error)


def _answered_already(request: HttpRequest, topics: tuple[str, ...]) -> HttpResponseBase | None:
    """Return the answer to what needs no look at Kafka, if it is that; raise `Http404` for what may not be read."""
    if request.method == "OPTIONS":
        return HttpResponse(status=204, headers={"Allow": ", ".join(METHODS)})
    if not all(access.may_read(request, topic) for topic in topics):
        raise Http404("No such topic.")
    if grip.is_forged(request):
        return grip.stream(sse.retry_with_jitter())
    if request.method == "HEAD" and not documents.is_wanted(request):
        return grip.stream("")
    return None


def readable(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Let through what may be asked, and turn what a retry can change into a stream that ends with `retry:`."""

    @require_http_methods(METHODS)
    @wraps(view)
    def wrapped(request: HttpRequest, topics: tuple[str, ...], **kwargs: Any) -> HttpResponseBase:
        if (answer := _answered_already(request, topics)) is not None:
            return answer
        topic = "+".join(topics)  # for the log
        try:
            with deadline.begun():
                return view(request, topics, **kwargs)
        except RETRYABLE as error:
            logger.warning("%s", why(error), extra={"topic": topic, "action": "retry"})
            if documents.is_wanted(request):
                return documents.unavailable(str(error))
        except TooManyChannelsError:
            pass  # A held client ends here, and hears why when it comes back.
        except Http404:
            raise
        except Exception:
            # A browser that gets anything but 200 never comes back.
            logger.exception("The events could not be served", extra={"topic": topic, "action": "retry"})
        return grip.stream(sse.retry_with_jitter())

    return wrapped
