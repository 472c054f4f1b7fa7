"""Kafka's jars, fetched once from Maven Central into the git-ignored `.cache/`: `python -m tests.harness.kafka_jars`."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from tests.harness.environment import PROJECT

POM = Path(__file__).with_name("kafka_pom.xml")
CACHE = PROJECT / ".cache"
FETCH_TIMEOUT = 600


def java() -> str:
    """Return the path of Java; raise RuntimeError, which says how to install it, when there is none."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin") if home else shutil.which("java")
    if not found:
        raise RuntimeError(
            "the tests run a real Kafka and need Java 17: apt install default-jre-headless maven"
        )
    return found


def archive() -> Path:
    """Return where `tests.harness.kafka_archive` keeps its file, for these jars and this Java."""
    return CACHE / f"{_folder().name}-{_digest(java().encode() + _version())}.jsa"


def formatted() -> Path:
    """Return where `tests.harness.kafka` keeps the storage of a new broker, for these jars."""
    return CACHE / f"{_folder().name}-formatted"


@cache
def _version() -> bytes:
    return subprocess.run([java(), "-version"], capture_output=True, check=True).stderr


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def _folder() -> Path:
    return CACHE / f"kafka-{_digest(POM.read_bytes())}"


def classpath() -> str:
    """Return the class path of Kafka, fetching it the first time and whenever the versions change."""
    folder = _folder()
    if not folder.exists():
        _fetch(folder)
    return f"{folder}/*"


def _fetch(folder: Path) -> None:
    maven = shutil.which("mvn")
    if not maven:
        raise RuntimeError("the tests fetch Kafka with Maven: apt install maven")
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        _run([maven, *_maven_options(), f"-DoutputDirectory={scratch}/jars"])
        try:
            Path(scratch, "jars").rename(folder)
        except OSError:  # another run was faster, and its jars are as good
            if not folder.exists():
                raise


def _maven_options() -> list[str]:
    options = ["-q", "-B", "-f", str(POM), "dependency:copy-dependencies", "-DincludeScope=runtime"]
    return options if _home_is_usable() else [*options, f"-Dmaven.repo.local={CACHE / 'maven'}"]


def _home_is_usable() -> bool:
    """Say whether Maven can keep what it fetches where it usually does."""
    return os.access(os.environ.get("HOME", "/nonexistent"), os.W_OK)


def _run(command: list[str]) -> None:
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=FETCH_TIMEOUT, check=False
    )
    if done.returncode:
        raise RuntimeError(f"Maven could not fetch Kafka:\n{done.stdout.decode(errors='replace')[-3000:]}")


if __name__ == "__main__":
    java()
    print(classpath())
