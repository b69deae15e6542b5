"""Importing a volume that registry:2 left: how fast, with how much memory, and what the next start costs."""

import os
import subprocess
import time
from pathlib import Path

from benchmark.client import MIB
from benchmark.dataset import remove
from benchmark.measures import Sample
from benchmark.processes import PeakMemory
from benchmark.scenarios import Run, note
from benchmark.servers import Holdfast
from benchmark.volumes import TAGS_EACH, Volume, write

PART = 10
"""The small volume is this part of the whole one: with constant memory, both need the same."""


class OpenPort(Holdfast):
    """A server that counts as started when its port answers, whether or not it knows all names."""

    first = "/healthz"


def importing(run: Run) -> None:
    """The measures of the scenario `import`, once: each run of it writes a volume, which takes longer than importing it."""
    root = run.work / "volume"
    try:
        for part in (PART, 1):
            repositories = max(run.options.volume // part, 1)
            note(f"writing a volume of {repositories:,} repositories with {TAGS_EACH} tags each")
            volume = write(root, repositories, repositories * TAGS_EACH)
            if part == 1:
                opened(run, root)
            imported(run, volume, whole=part == 1)
            if part == 1:
                started_again(run, root)
            remove(root)
    finally:
        remove(root)


def opened(run: Run, root: Path) -> None:
    """How soon the port is open although nothing is imported yet."""
    server = OpenPort(run.work, root, access_log=False)
    run.take("import-open", server.name, lambda: Sample(server.start() * 1000))
    server.stop()
    remove(root / "holdfast")


def imported(run: Run, volume: Volume, *, whole: bool) -> None:
    """One `holdfast import`, from the start of the program to its end."""
    server = Holdfast(run.work, volume.root, access_log=False)
    command = server.command()
    command[command.index("serve")] = "import"
    begin = time.perf_counter()
    with (run.work / "import.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=server.environment(), cwd=run.work
        )
        with PeakMemory(process.pid) as memory:
            _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if status:
        run.failures.append(f"import: status {status}: {(run.work / 'import.log').read_text()[-2000:]}")
        return
    if not whole:
        run.take("import-memory-part", server.name, lambda: Sample(memory.peak / MIB))
        return
    cpu, work = used.ru_utime + used.ru_stime, volume.tags / 1000
    extra = {"seconds": seconds, "manifests": volume.manifests, "blobs": volume.blobs, "links": volume.links}
    run.take("import-tags", server.name, lambda: Sample(volume.tags / seconds, cpu, work, extra))
    run.take("import-repositories", server.name, lambda: Sample(volume.repositories / seconds))
    run.take("import-memory", server.name, lambda: Sample(memory.peak / MIB))


def started_again(run: Run, root: Path) -> None:
    """A start on what is imported and has not changed since."""
    server = Holdfast(run.work, root, access_log=False)
    run.take("import-again", server.name, lambda: Sample(server.start() * 1000))
    server.stop()
