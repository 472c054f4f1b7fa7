"""The project's URLs: the apps' own."""

from django.urls import include, path

urlpatterns = [path("", include("kafkasse.urls"))]
