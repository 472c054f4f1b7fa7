"""Django's settings for the tests that start no other process.

They need nothing set and take nothing over: neither what a developer's shell has exported nor what `.env` says.
"""

import os

from kafkasse.conf import Settings as WebSettings
from relay.conf import Settings as RelaySettings

FIXED = {
    "PYTHON_DOTENV_DISABLED": "1",
    "KAFKA_CONSUMER_CONFIG": '{"bootstrap.servers": "127.0.0.1:1", "group.id": "unit-tests"}',
    "GRIP_URL": "http://127.0.0.1:1",
    "DEBUG": "false",
    "SECRET_KEY": "of-the-tests-and-of-no-use-to-anybody-else-0123456789",
}
# Empty and unset mean the same to `project.env`.
READ = {"GRIP_PROXIES", "GRIP_PREFIX", "ALLOWED_HOSTS", "LOG_LEVEL", "CORS_ALLOWED_ORIGINS"}
READ |= {name for shadow in (WebSettings, RelaySettings) for name in vars(shadow) if name.isupper()}
for name in READ:
    os.environ.pop(name, None)
os.environ.update(FIXED)

from project.settings import *  # noqa: E402, F403
