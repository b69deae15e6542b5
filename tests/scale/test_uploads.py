"""One upload, each of its requests on another node, also while nodes are killed in between."""

from itertools import pairwise
from pathlib import Path

import pytest

from durability.ledger import Ledger
from harness.http import Client
from harness.postgresql import PostgreSQL
from harness.repository import Repository, with_query
from harness.server import Server, wait_until
from harness.swift import Swift
from holdfast.storage import paths
from scale.aftermath import objects, whole
from scale.site import SETTINGS, Site, new_place, seed


@pytest.mark.parametrize("killing", [False, True], ids=["all-live", "killed-in-between"])
def test_an_upload_goes_on_on_any_node(site: Site, killing: bool) -> None:
    name = f"uploads/r{seed()}"
    first, second, third = (Repository(Client(node), name) for node in site.nodes)
    content = first.blob(6_500_000)
    cuts = (0, 5_300_000, 6_000_000, content.size)
    pieces = [content.body[start:end] for start, end in pairwise(cuts)]
    location = first.open_upload()
    if killing:
        site.nodes[0].kill()
    second.client.patch(location, {"Content-Range": f"0-{cuts[1] - 1}"}, pieces[0]).expect(202)
    if killing:
        site.nodes[1].kill()
    answer = third.client.patch(location, {"Content-Range": f"{cuts[1]}-{cuts[2] - 1}"}, pieces[1]).expect(202)
    assert answer.headers["Range"] == f"0-{cuts[2] - 1}"
    if killing:
        site.nodes[2].kill()
        site.nodes[0].start()
    assert first.client.get(location).expect(204).headers["Range"] == f"0-{cuts[2] - 1}"
    if killing:
        site.nodes[1].start()
    target = with_query(location, f"digest={content.digest}")
    second.client.put(target, {"Content-Range": f"{cuts[2]}-{cuts[3] - 1}"}, pieces[2]).expect(201)
    first.client.put(target).expect(201)  # as if the first answer had been lost
    if killing:
        site.nodes[2].start()
    ledger = Ledger()
    ledger.blobs[first.name, content.digest] = content
    image = first.push_image("tag", layers=[content])
    ledger.manifests[first.name, image.digest] = image
    whole(ledger, site.nodes)


def test_a_node_removes_what_nobody_goes_on_with(tmp_path: Path, postgresql: PostgreSQL, swift: Swift) -> None:
    place = new_place(postgresql, swift)
    purging = {f"storage.maintenance.uploadpurging.{key}": "2s" for key in ("age", "interval")}
    with Server(tmp_path, {**SETTINGS, **place.settings, **purging}) as node:
        repository = Repository(Client(node), "uploads/abandoned")
        location = repository.open_upload()
        repository.client.patch(location, {}, b"half of it").expect(202)
        wait_until(lambda: repository.client.get(location).status == 404, "the upload to be given up", 60)
        wait_until(lambda: not objects(node.settings, paths.SEGMENTS), "its bytes to be removed", 60)
        assert place.count("uploads") == 0
