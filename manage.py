#!/usr/bin/env python
"""Run a management command: `python manage.py runserver`, `relay`, `pushpin`, `check`, …."""

import os
import sys


def main() -> None:
    """Run the command line; what is wrong with the configuration ends it in one line, without a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    # Imported here: a missing virtualenv is the commonest first error, and deserves a sentence.
    try:
        from django.core.management import execute_from_command_line  # noqa: PLC0415

        from kafkasse.exceptions import ConfigurationError  # noqa: PLC0415
    except ImportError as error:
        sys.exit(f"{error}. Install the requirements first: pip install -r requirements.txt")
    try:
        execute_from_command_line(sys.argv)
    except ConfigurationError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
