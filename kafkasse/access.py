"""May this request read this topic?  Every way to a topic's records asks here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafkasse import topics
from kafkasse.conf import conf

if TYPE_CHECKING:
    from django.http import HttpRequest


def may_read(request: HttpRequest, topic: str) -> bool:  # noqa: ARG001 - the place where rights will be asked for
    """Say whether `topic` is served; for a topic that is not, the answer is the same as for one with a bad name."""
    return topics.is_public(topic, conf.KAFKASSE_TOPIC_PATTERN)
