"""The WSGI application, for a server such as gunicorn."""

import os

from django.core.wsgi import get_wsgi_application

from kafkasse import garbage

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

application = get_wsgi_application()
garbage.look_seldom()
