"""The URLs of this app; each one is a promise (docs/reference/http.md).

What is below `next/` is for the proxy.  A client may ask for it, and learns nothing there that its own request would not
tell.  It has a prefix of its own so that a proxy can route it differently (docs/adr/0012-next-links-have-a-route.md).
"""

from django.urls import path, register_converter

from kafkasse import views
from kafkasse.converters import (
    CursorConverter,
    NumberConverter,
    TermsConverter,
    TopicConverter,
    TopicsConverter,
)

register_converter(TopicConverter, "topic")
register_converter(TopicsConverter, "topics")
register_converter(CursorConverter, "cursor")
register_converter(TermsConverter, "terms")
register_converter(NumberConverter, "number")

app_name = "kafkasse"
urlpatterns = [
    path("", views.index, name="index"),
    path("next/events/<topics:topics>/", views.refill, name="refill"),
    path("next/events/<topics:topics>/<terms:terms>/", views.refill, name="refill"),
    path("next/events/<topics:topics>/<cursor:position>/", views.follow, name="follow"),
    path("next/events/<topics:topics>/<cursor:position>/<terms:terms>/", views.follow, name="follow"),
    path("next/begin/<topics:topics>/", views.begin, name="begin"),
    path("next/begin/<topics:topics>/<terms:terms>/", views.begin, name="begin"),
    path("events/<topic:topics>/<number:partition>/<number:offset>/", views.record, name="record"),
    path("events/<topics:topics>/", views.events, name="events"),
    path("events/<topics:topics>", views.events),
]
