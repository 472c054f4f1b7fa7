"""A Pushpin with the limits that it comes with, run as ours is."""

from collections.abc import Mapping

from kafkasse import pushpin, pushpin_launch, pushpin_options

STOCK: dict[str, object] = {
    "message_rate": 2500,
    "message_hwm": 25000,
    "message_wait": 5000,
    "connection_subscription_max": 20,
    "sig_iss": "pushpin",
    "sig_key": "changeme",
    # Its processes need not wait for each other.
    "condure_in_specs": "ipc://{rundir}/{ipc_prefix}condure-out",
    "connmgr_in_specs": "ipc://{rundir}/{ipc_prefix}connmgr-out",
}


def prepare(options: pushpin_options.Options, limits: Mapping[str, object] = STOCK) -> list[str]:
    """Write the configuration, ours but for `limits`, and return the command that runs it."""
    program = pushpin_launch.find()
    files = pushpin.files(program.version, options)
    pushpin_launch.settle(options, {name: _limited(text, limits) for name, text in files.items()})
    return pushpin_launch.command(program.path, options.run_dir)


def _limited(text: str, limits: Mapping[str, object]) -> str:
    """Return a configuration with other values."""
    lines = [line.split("=", 1) for line in text.splitlines()]
    return "".join(
        f"{name}={limits[name]}\n" if name in limits else "=".join([name, *value]) + "\n"
        for name, *value in lines
    )
