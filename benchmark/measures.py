"""What is measured, and what is to be reached."""

import os
import re
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Barrier

from benchmark import processes
from benchmark.client import MIB, ClientError, Connection, Layer, Layers, expect, push_layer
from benchmark.dataset import ACCEPT
from benchmark.servers import Server

GIB = 1024 * MIB
SMALL_LAYERS = 200
SMALL_CONNECTIONS = 8
CROWD = 32
FEW_REQUESTS = 200
REPOSITORY = "measured/layers"


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured figure.

    `value` is in the measure's unit; `cpu` is what the server's processes used, in seconds, while they did `work`
    (in thousands of requests, or GiB); `extra` holds further figures for the JSON file.
    """

    value: float
    cpu: float = 0.0
    work: float = 0.0
    extra: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Measure:
    """One row of the table.

    `per` is the unit of work for the CPU column. Targets: `ratio` is the least ratio of the value to docker-registry's,
    `cpu_ratio` the greatest ratio of CPU per work, `bare_ratio` the least part of the bare answer's value, `limit` the
    bound that the value stays under.
    """

    name: str
    title: str
    unit: str
    scenario: str
    per: str = ""
    ratio: float | None = None
    cpu_ratio: float | None = None
    bare_ratio: float | None = None
    limit: float | None = None


REQUESTS = "1,000 requests"
READS = (
    ("v2", "GET /v2/", None, None),
    ("manifest-tag", "manifest by tag", 8.0, 0.5),
    ("manifest-digest", "manifest by digest", 8.0, 0.5),
    ("tags-all", "list of 1,000 tags, whole", 10.0, None),
    ("tags-first", "list of 1,000 tags, first 100", 10.0, None),
    ("tags-middle", "list of 1,000 tags, middle 100", 10.0, None),
    ("catalog-first", "catalog of 10,000, first 100", 10.0, None),
    ("catalog-middle", "catalog of 10,000, middle 100", 10.0, None),
)

MEASURES: tuple[Measure, ...] = (
    *(
        Measure(name, title, "req/s", "read", REQUESTS, ratio=ratio, bare_ratio=bare)
        for name, title, ratio, bare in READS
    ),
    *(
        Measure(f"{name}-logged", f"{title}, access log on", "req/s", "logged", REQUESTS, ratio=ratio)
        for name, title, ratio, _ in READS
    ),
    Measure("push", "push of one large layer, disk", "MiB/s", "disk", "GiB", ratio=1.7),
    Measure("push-small", "push of 200 layers of 1 MiB, 8 connections, disk", "MiB/s", "disk", "GiB", ratio=2.0),
    Measure("pull", "pull of one large layer, page cache", "MiB/s", "disk", "GiB", ratio=1.0, cpu_ratio=1.0),
    Measure("push-tmpfs", "push of one large layer, tmpfs", "MiB/s", "tmpfs", "GiB", ratio=1.7),
    Measure("push-chunked-tmpfs", "push of one large layer in chunks of 32 KiB, tmpfs", "MiB/s", "tmpfs", "GiB"),
    Measure(
        "push-small-tmpfs", "push of 200 layers of 1 MiB, 8 connections, tmpfs", "MiB/s", "tmpfs", "GiB", ratio=2.0
    ),
    Measure("start-empty", "start to first answer, empty", "ms", "disk"),
    Measure("start-filled", "start to first answer, 10,000 repositories", "ms", "read"),
    Measure("memory-idle", "memory (PSS) after the start", "MiB", "memory"),
    Measure("memory-load", "memory (PSS), 32 clients push and pull", "MiB", "memory", limit=300),
    Measure("memory-stalled", "memory (PSS), 32 stalled pulls", "MiB", "memory", limit=300),
    Measure("import-tags", "import of a volume of registry:2, by tags", "tags/s", "import", "1,000 tags"),
    Measure("import-repositories", "import of a volume of registry:2, by repositories", "repositories/s", "import"),
    Measure("import-memory", "memory (PSS) of that import", "MiB", "import"),
    Measure("import-memory-part", "memory (PSS) of the import of a tenth of it", "MiB", "import"),
    Measure("import-open", "start on it to the open port, not imported yet", "ms", "import"),
    Measure("import-again", "start to first answer, imported and unchanged", "ms", "import"),
)
BY_NAME = {measure.name: measure for measure in MEASURES}


def select(words: Sequence[str]) -> list[Measure]:
    """The measures whose name is one of the words or begins with it and a dash; all, if there are no words.

    Raises `ValueError` for a word that fits none.
    """
    for word in words:
        if not any(_fits(measure, word) for measure in MEASURES):
            raise ValueError(f"no measure is called {word}")
    return [measure for measure in MEASURES if not words or any(_fits(measure, word) for word in words)]


def _fits(measure: Measure, word: str) -> bool:
    return measure.name == word or measure.name.startswith(f"{word}-")


def request_rate(server: Server, target: str, seconds: int) -> Sample:
    """Requests per second that wrk gets over 16 connections. Raises `ClientError` when any answer was an error.

    The up to 16 requests that are under way at the end are counted by nobody: where only few are done, a longer look is
    taken, so that they do not matter.
    """
    sample = wrk(server, target, seconds)
    return wrk(server, target, 3 * seconds) if sample.work * 1000 < FEW_REQUESTS else sample


def wrk(server: Server, target: str, seconds: int, connections: int = 16) -> Sample:
    """One run of wrk. Raises `ClientError` when any answer was an error."""
    command = [
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{seconds}s",
        "--timeout",
        "30s",
        "--latency",
        "-H",
        f"Accept: {ACCEPT}",
        server.url(target),
    ]
    before = server.cpu_seconds()
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    cpu = server.cpu_seconds() - before
    if trouble := re.search(r"(Non-2xx or 3xx responses|Socket errors): .*", output):
        raise ClientError(f"{server.name}: wrk on {target}: {trouble.group()}")
    requests = float(_found(r"(\d+) requests in", output))
    slowest = _milliseconds(_found(r"99%[ \t]+(\S+)", output))
    return Sample(float(_found(r"Requests/sec:\s+(\S+)", output)), cpu, requests / 1000, {"p99_ms": slowest})


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise ClientError(f"wrk printed nothing like {pattern}:\n{text}")
    return match.group(1)


def _milliseconds(text: str) -> float:
    for unit, factor in (("us", 0.001), ("ms", 1.0), ("s", 1000.0), ("m", 60_000.0)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    raise ClientError(f"wrk printed an unknown time: {text}")


def _timed(server: Server, size: int, work: Callable[[], object]) -> Sample:
    """Do `work`, which moves `size` bytes; the value is MiB/s."""
    cpu = server.cpu_seconds()
    begin = time.perf_counter()
    work()
    seconds = time.perf_counter() - begin
    return Sample(size / MIB / seconds, server.cpu_seconds() - cpu, size / GIB)


def push_large(server: Server, layers: Layers, size: int, *, chunked: bool = False) -> tuple[Sample, Layer]:
    """Push one layer; the layer is returned so that it can be pulled."""
    layer = layers.make(size)
    os.sync()
    with Connection(server.port) as connection:
        return _timed(server, size, lambda: push_layer(connection, REPOSITORY, layer, chunked=chunked)), layer


def push_small(server: Server, layers: Layers) -> Sample:
    """Push 200 layers of 1 MiB over 8 connections."""
    shares = [[layers.make(MIB) for _ in range(SMALL_LAYERS // SMALL_CONNECTIONS)] for _ in range(SMALL_CONNECTIONS)]
    os.sync()

    def push(share: list[Layer]) -> None:
        with Connection(server.port) as connection:
            for layer in share:
                push_layer(connection, REPOSITORY, layer)

    with ThreadPoolExecutor(SMALL_CONNECTIONS) as pool:
        return _timed(server, SMALL_LAYERS * MIB, lambda: list(pool.map(push, shares)))


def blob_target(layer: Layer) -> str:
    return f"/v2/{REPOSITORY}/blobs/{layer.digest}"


def pull_large(server: Server, layer: Layer, times: int) -> Sample:
    """Pull a layer that is in the page cache, several times over one connection."""
    with Connection(server.port) as connection:

        def pull() -> None:
            for _ in range(times):
                connection.discard(blob_target(layer))

        return _timed(server, layer.size * times, pull)


def check_pull(server: Server, layer: Layer) -> None:
    """Pull a layer and check its digest. Raises `ClientError` when it differs."""
    with Connection(server.port) as connection:
        if (digest := connection.digest(blob_target(layer))) != layer.digest:
            raise ClientError(f"{server.name} answered a layer with the digest {digest} instead of {layer.digest}")


def write_rate(base: Path, target: Path, size: int) -> Sample:
    """What dd needs to write the same bytes and sync them: the disk's limit for a push."""
    os.sync()
    begin = time.perf_counter()
    command = ["dd", f"if={base}", f"of={target}", "bs=1M", f"count={size // MIB}", "conv=fdatasync", "status=none"]
    subprocess.run(command, check=True, capture_output=True)
    seconds = time.perf_counter() - begin
    target.unlink()
    return Sample(size / MIB / seconds)


def memory_idle(server: Server) -> Sample:
    return Sample(processes.pss_bytes(server.pid) / MIB)


def memory_load(server: Server, layers: Layers, size: int) -> Sample:
    """The peak while 32 clients each push a layer and pull; half of them pull first, so that both go on together."""
    with Connection(server.port) as connection:
        first = layers.make(size)
        push_layer(connection, REPOSITORY, first)
    barrier = Barrier(CROWD)

    def client(number: int) -> None:
        layer = layers.make(size)
        with Connection(server.port) as connection:
            barrier.wait()
            if number % 2:
                connection.discard(blob_target(first))
            push_layer(connection, REPOSITORY, layer)
            connection.discard(blob_target(layer if number % 2 else first))

    begin = time.perf_counter()
    with processes.PeakMemory(server.pid) as memory, ThreadPoolExecutor(CROWD) as pool:
        list(pool.map(client, range(CROWD)))
    return Sample(memory.peak / MIB, extra={"seconds": time.perf_counter() - begin})


def memory_stalled(server: Server, layers: Layers, size: int) -> Sample:
    """The peak while 32 clients have read the header of an answer and no more, until memory has stopped growing."""
    layer = layers.make(size)
    with Connection(server.port) as connection:
        push_layer(connection, REPOSITORY, layer)
    stalled = [Connection(server.port) for _ in range(CROWD)]
    try:
        for connection in stalled:
            connection.get_head(blob_target(layer))
        peak = 0
        for _ in range(40):
            before = peak
            time.sleep(0.5)
            peak = max(peak, processes.pss_bytes(server.pid))
            if peak <= before:
                break
        return Sample(peak / MIB)
    finally:
        for connection in stalled:
            connection.close()


def read_answer(server: Server, target: str) -> bytes:
    """The body of a reading measure's answer. Raises `ClientError` when it is not 200."""
    with Connection(server.port) as connection:
        return expect(
            connection.request("GET", target, headers=[("Accept", ACCEPT)]), 200, f"{server.name}: GET {target}"
        ).body
