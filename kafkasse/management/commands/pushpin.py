"""`manage.py pushpin`: write the configuration for the Pushpin installed here, then become it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError
from django.urls import reverse

from kafkasse import pushpin, pushpin_gate, pushpin_launch, pushpin_options
from kafkasse.conf import conf
from kafkasse.exceptions import ConfigurationError

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from pathlib import Path


class Command(BaseCommand):
    """Parse, write, exec."""

    # They are about the application; and their warnings would hide the one line that says why this cannot start.
    requires_system_checks = ()
    help = "Runs a Pushpin in the foreground, tuned for this application; -v 2 logs each request."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options; docs/reference/pushpin.md describes them."""
        parser.add_argument("--port", type=int, default=7999, help="for clients (default: 7999)")
        parser.add_argument("--bind", default="127.0.0.1", help="the address of --port (default: 127.0.0.1)")
        parser.add_argument(
            "--origin", default="127.0.0.1:8000", help="the application (default: 127.0.0.1:8000)"
        )
        parser.add_argument(
            "--publish-port", type=int, help="for the relay, and the next one (default: GRIP_URL's)"
        )
        parser.add_argument("--run-dir", help="for its sockets (default: one per user and port)")
        parser.add_argument("--print", action="store_true", help="show the configuration and exit")

    def handle(self, *args: Any, **options: Any) -> None:
        """Show the configuration, or become Pushpin; a failure is one line."""
        try:
            program, plan = pushpin_launch.find(), planned(options)
            files = pushpin.files(program.version, plan)
            if options["print"]:
                self.show(plan.run_dir, files)
                return
            pushpin_launch.settle(plan, files)
        except ConfigurationError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Pushpin {pushpin_options.dotted(program.version)}: {plan}")
        self.stdout.flush()
        pushpin_gate.watch(plan.run_dir, program.version)
        command = pushpin_launch.command(program.path, plan.run_dir)
        pushpin_launch.become(command, pushpin.file_limit(program.version, plan))

    def show(self, run_dir: Path, files: dict[str, str]) -> None:
        """Print the files, without the key."""
        for name, text in files.items():
            self.stdout.write(f"# {run_dir / name}\n{pushpin.masked(text)}")


def planned(options: dict[str, Any]) -> pushpin_options.Options:
    """Return the options, completed from the settings."""
    publish_port = options["publish_port"]
    if publish_port is None:
        publish_port = pushpin_options.default_publish_port(conf.GRIP_PROXIES)
    key, issuer = pushpin_options.signing(conf.GRIP_PROXIES, publish_port)
    return pushpin_options.Options(
        run_dir=pushpin_launch.chosen(options["run_dir"], options["port"]),
        publish_port=publish_port,
        key=key,
        issuer=issuer,
        next_links=reverse("kafkasse:refill", args=["-"]).removesuffix("events/-/"),
        log_level=options["verbosity"],
        channels=conf.KAFKASSE_MAX_CHANNELS,
        open_files=pushpin_launch.open_files(),
        memory=pushpin_launch.memory(),
        bind=options["bind"].strip("[]"),
        **{name: options[name] for name in ("port", "origin")},
    )
