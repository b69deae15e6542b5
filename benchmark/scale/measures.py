"""What is measured, and what is to be reached."""

import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Barrier

import obstore
from obstore.store import S3Store

from benchmark import measures
from benchmark.client import MIB, ClientError, Connection, Layer, Layers, push_layer
from benchmark.measures import Sample
from benchmark.scale.engines import settle
from benchmark.scale.images import push_known, push_small_image
from benchmark.scale.servers import Bucket, OnBucket
from benchmark.servers import Server

THEIRS, EMBEDDED, SERVER, ENGINE = "docker-registry", "SQLite", "PostgreSQL", "engine"
ONE, TWO = "one node", "two nodes"
CANDIDATES = (THEIRS, EMBEDDED, SERVER)
NODES = (ONE, TWO)
SMALL = 64 * 1024
"""Size of the layer of a small image, in bytes."""
CLIENTS = 8
IN_PLACE_SECONDS = 120
REPOSITORY = "measured/layers"
Figures = dict[str, float]
"""The median of each column of a row."""


@dataclass(frozen=True, slots=True)
class Target:
    """The figure of one column is at least so many times that of another."""

    times: float
    of: str
    than: str

    def reached(self, figures: Figures) -> float | None:
        """How many times it is; None where a figure is missing."""
        return figures[self.of] / figures[self.than] if self.of in figures and figures.get(self.than) else None


def _against_theirs(times: float) -> tuple[Target, ...]:
    return tuple(Target(times, ours, THEIRS) for ours in (EMBEDDED, SERVER))


@dataclass(frozen=True, slots=True)
class Measure:
    """One row of a table."""

    name: str
    title: str
    unit: str
    targets: tuple[Target, ...] = field(default=())


MEASURES = (
    Measure("push", "push of one large layer as docker does", "MiB/s", _against_theirs(2.5)),
    Measure("push-known", "push of one large layer, its digest known before", "MiB/s"),
    Measure("in-place", "from the answer to that docker push until the layer has its own key", "s"),
    Measure("manifest-tag", "manifest by tag", "req/s", (*_against_theirs(50), Target(0.25, SERVER, EMBEDDED))),
    Measure("catalog", "catalog of 500 repositories, one client", "req/s", _against_theirs(20)),
)
NODE_MEASURES = (
    Measure("nodes-manifest-tag", "manifest by tag", "req/s", (Target(0.9, TWO, ONE),)),
    Measure("nodes-push", "push of small images, 8 clients", "images/s", (Target(0.9, TWO, ONE),)),
)
BY_NAME = {measure.name: measure for measure in (*MEASURES, *NODE_MEASURES)}


def push(server: OnBucket, layers: Layers, size: int, *, known: bool) -> tuple[Sample, Sample]:
    """Push one new layer of `size` bytes: MiB/s, and the seconds after that until it lies at its own key in the bucket."""
    layer = layers.make(size)
    with Connection(server.port) as connection:
        cpu, begin = server.cpu_seconds(), time.perf_counter()
        if known:
            push_known(connection, REPOSITORY, layer)
        else:
            push_layer(connection, REPOSITORY, layer, chunked=True)
        seconds = time.perf_counter() - begin
    used = server.cpu_seconds() - cpu
    later = _in_place(server, layer)
    settle()
    return Sample(size / MIB / seconds, used, size / measures.GIB), Sample(later)


def _in_place(server: OnBucket, layer: Layer) -> float:
    """Wait for a layer at registry:2's key; gives the seconds. Raises `ClientError` when it does not come."""
    store, begin = _opened(server.bucket), time.perf_counter()
    encoded = layer.digest.removeprefix("sha256:")
    key = f"docker/registry/v2/blobs/sha256/{encoded[:2]}/{encoded}/data"
    while (passed := time.perf_counter() - begin) < IN_PLACE_SECONDS:
        with suppress(FileNotFoundError):
            if obstore.head(store, key)["size"] == layer.size:
                return passed
        time.sleep(0.2)
    raise ClientError(f"{server.name}: {key} is not in the bucket after {IN_PLACE_SECONDS} s")


def _opened(bucket: Bucket) -> S3Store:
    return S3Store(
        bucket.name,
        endpoint=bucket.endpoint,
        access_key_id=bucket.access_key,
        secret_access_key=bucket.secret_key,
        region="us-east-1",
        client_options={"allow_http": True},
    )


def put_rate(bucket: Bucket, layers: Layers, size: int) -> Sample:
    """What the engine itself takes in one plain PUT of as many bytes."""
    store = _opened(bucket)
    content = layers.path.read_bytes()[:size]
    begin = time.perf_counter()
    obstore.put(store, "plain", content, use_multipart=False)
    seconds = time.perf_counter() - begin
    settle()
    return Sample(size / MIB / seconds)


def request_rate(servers: Sequence[Server], target: str, seconds: int) -> Sample:
    """Requests per second of all the servers together: one wrk each for two servers, both with half of 16 connections."""
    if len(servers) == 1:
        return measures.request_rate(servers[0], target, seconds)
    with ThreadPoolExecutor(len(servers)) as pool:
        samples = pool.map(lambda server: measures.wrk(server, target, seconds, 16 // len(servers)), servers)
        return Sample(sum(sample.value for sample in samples))


def catalog_rate(server: Server, repositories: int, seconds: int) -> Sample:
    """Whole catalogs per second, asked for one after the other. Raises `ClientError` when one is not whole."""
    count = 0
    with Connection(server.port) as connection:
        begin = time.perf_counter()
        while (passed := time.perf_counter() - begin) < seconds:
            answer = connection.request("GET", "/v2/_catalog?n=1000")
            count += 1
            if answer.status != 200 or (count == 1 and len(json.loads(answer.body)["repositories"]) < repositories):
                raise ClientError(f"{server.name}: the catalog is not whole ({answer.status}): {answer.body[:300]!r}")
    return Sample(count / passed)


def push_rate(servers: Sequence[Server], layers: Layers, seconds: int) -> Sample:
    """Small images per second that eight clients push, spread over the servers."""
    layers.make(SMALL)
    barrier = Barrier(CLIENTS)

    def client(number: int) -> int:
        done = 0
        with Connection(servers[number % len(servers)].port) as connection:
            barrier.wait()
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                push_small_image(connection, f"measured/small-{number}", layers, SMALL, f"v{done}")
                done += 1
        return done

    with ThreadPoolExecutor(CLIENTS) as pool:
        begin = time.perf_counter()
        done = sum(pool.map(client, range(CLIENTS)))
    sample = Sample(done / (time.perf_counter() - begin))
    settle()
    return sample
