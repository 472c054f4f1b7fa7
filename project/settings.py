"""Django's settings; everything that a deployment changes comes from the environment (docs/reference/settings.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from corsheaders.defaults import default_headers

from kafkasse import conf as kafkasse_conf
from kafkasse import grip
from kafkasse.exceptions import ConfigurationError
from project import env, log
from relay import conf as relay_conf

BASE_DIR = Path(__file__).resolve().parent.parent
env.load(BASE_DIR / ".env")

DEBUG = env.boolean("DEBUG", default=False)
SECRET_KEY = env.text("SECRET_KEY", "development-only" if DEBUG else "")
if not SECRET_KEY:
    raise ConfigurationError(
        "SECRET_KEY is not set, and DEBUG is off. Example: SECRET_KEY=a-long-random-text"
    )
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")

INSTALLED_APPS = ["corsheaders", "kafkasse", "relay", "project"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django_grip.GripMiddleware",
]
ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"
ASGI_APPLICATION = "project.asgi.application"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
DATABASES: dict[str, Any] = {}
USE_TZ = True
TIME_ZONE = "UTC"  # Django's own default is Chicago's time, in the logs too
# Both forms of `/events/<topic>` are routed: a redirect would cost an EventSource a round trip and a proxy its hold.
APPEND_SLASH = False
LOGGING = log.configuration(env.choice("LOG_LEVEL", log.LEVELS, "INFO"))

# --- Kafka --------------------------------------------------------------------------------------------------------
KAFKA_CONSUMER_CONFIG = kafkasse_conf.validated_consumer_config(
    env.json_value("KAFKA_CONSUMER_CONFIG", dict, kafkasse_conf.CONSUMER_CONFIG_EXAMPLE)
)

# --- GRIP ---------------------------------------------------------------------------------------------------------
# Folded into GRIP_PROXIES: django-grip appends GRIP_URL to that list at every request.
GRIP_PROXIES = grip.proxies(env.text("GRIP_URL"), env.words("GRIP_PROXIES"))
GRIP_PREFIX = env.text("GRIP_PREFIX")

# --- CORS ---------------------------------------------------------------------------------------------------------
CORS_ALLOWED_ORIGINS = [origin for origin in env.words("CORS_ALLOWED_ORIGINS") if origin != "*"]
CORS_ALLOW_ALL_ORIGINS = "*" in env.words("CORS_ALLOWED_ORIGINS")
# What clients other than the browser's own EventSource send to resume; a browser asks first whether it may.
CORS_ALLOW_HEADERS = (*default_headers, "cache-control", "last-event-id")

# --- Each app's own settings, described with their defaults in its conf.py ----------------------------------------
globals().update(env.overrides(kafkasse_conf.Settings))
globals().update(env.overrides(relay_conf.Settings))
