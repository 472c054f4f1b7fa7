"""The ASGI application, for a server such as uvicorn."""

import os

from django.core.asgi import get_asgi_application

from kafkasse import garbage

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

application = get_asgi_application()
garbage.look_seldom()
