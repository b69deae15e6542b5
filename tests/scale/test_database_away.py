"""While the database is away, what a node gave to an actor a short while ago can be pulled again by digest; all else is told to come again."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from auth.support import basic, line
from harness.content import Content, blob
from harness.http import Client, Response
from harness.postgresql import PostgreSQL
from harness.repository import Repository
from harness.server import Server, wait_until
from harness.swift import Swift
from harness.wire import Wire
from scale.measures import Book, Measured, now
from scale.site import SETTINGS, new_place, readiness, wires

NAME = "away/images"
CONNECTIONS = 16
"""So many connections do not all meet the same of two workers."""

PATIENCE = 15.0
"""Seconds that no request takes, whatever happens to the database."""

NOISE = 10.0
"""Seconds for which a busy machine may let a request wait besides."""


@pytest.mark.parametrize("lose", [Wire.refuse, Wire.silence], ids=["refused", "silent"])
def test_database_away(
    tmp_path: Path, postgresql: PostgreSQL, swift: Swift, book: Book, lose: Callable[[Wire], None]
) -> None:
    users = tmp_path / "htpasswd"
    users.write_bytes(line("ann", "secret") + line("bob", "secret"))
    place = new_place(postgresql, swift)
    with wires(place) as [wire]:
        settings = {
            **SETTINGS,
            **place.settings,
            **place.through(wire),
            "server.workers": "2",
            "storage.redirect.disable": "true",
            "auth.htpasswd.realm": "registry",
            "auth.htpasswd.path": str(users),
        }
        with Server(tmp_path, settings) as node:
            ann, bob = (Repository(_client(node, user), NAME) for user in ("ann", "bob"))
            layer, unseen = ann.push_blob(ann.blob(300_000)), ann.push_blob(ann.blob())
            image = ann.push_image("tag", layers=[layer])
            for content, kind in ((image, "manifests"), (layer, "blobs")):
                assert ann.get(f"{kind}/{content.digest}").expect(200).body == content.body
            for _ in range(CONNECTIONS):  # the password is known to both workers; bcrypt is not what is waited for
                bob.client.get("/v2/").expect(200)
            processes = node.children()
            began = now()
            lose(wire.database)
            slowest = _while_away(node, ann, bob, image, layer, unseen)
            wire.database.restore()
            healed = now()
            wait_until(lambda: readiness(node) == 200, "the node to be ready again", 30)
            wait_until(
                lambda: all(bob.get("manifests/tag").status == 200 for _ in range(CONNECTIONS)),
                "tags to be answered again by both workers",
                30,
            )
            book.note(
                Measured(
                    fault=f"database away ({lose.__name__})",
                    lasted=round(healed - began, 1),
                    fine=0,
                    failed={},
                    failing_for=round(healed - began, 1),
                    longest_wait=round(slowest, 1),
                    failing_after=0.0,
                    well_after=round(now() - healed, 1),
                )
            )
            ann.push_image("tag")
            assert node.children() == processes


def _client(node: Server, user: str) -> Client:
    return Client(node, headers={"Authorization": basic(user, "secret").decode(), "Accept": "*/*"}, timeout=60)


def _while_away(
    node: Server, ann: Repository, bob: Repository, image: Content, layer: Content, unseen: Content
) -> float:
    """Look at what is answered meanwhile; gives the seconds of the longest wait."""
    waits = []

    def timed(ask: Callable[[], Response]) -> Response:
        began = now()
        answer = ask()
        waits.append(now() - began)
        return answer

    def pulled() -> None:
        for content, kind in ((image, "manifests"), (layer, "blobs")):
            answer = timed(lambda c=content, k=kind: ann.get(f"{k}/{c.digest}"))  # type: ignore[misc]
            assert answer.expect(200).body == content.body

    with ThreadPoolExecutor(CONNECTIONS + 1) as pool:
        looks = [pool.submit(pulled) for _ in range(CONNECTIONS)]
        assert pool.submit(readiness, node).result() == 503
        for look in looks:
            look.result()
    ann.head(f"manifests/{image.digest}").expect(200)
    ann.head(f"blobs/{layer.digest}").expect(200)
    piece = ann.get(f"blobs/{layer.digest}", {"Range": "bytes=1000-1999"}).expect(206)
    assert piece.body == layer.body[1000:2000]
    ann.client.get("/v2/").expect(200)
    new = blob("new")
    put = {"Content-Type": image.media_type}
    asked: list[Callable[[], Response]] = [
        lambda: ann.get("manifests/tag"),
        lambda: ann.head("manifests/tag"),
        lambda: ann.get(f"blobs/{unseen.digest}"),
        lambda: ann.get(f"manifests/{unseen.digest}"),
        lambda: bob.get(f"manifests/{image.digest}"),
        lambda: bob.get(f"blobs/{layer.digest}"),
        lambda: ann.get("tags/list"),
        lambda: ann.get(f"referrers/{image.digest}"),
        lambda: ann.client.get("/v2/_catalog"),
        lambda: ann.client.post(ann.url("blobs/uploads/")),
        lambda: ann.client.post(ann.url(f"blobs/uploads/?digest={new.digest}"), {}, new.body),
        lambda: ann.client.put(ann.url("manifests/tag"), put, image.body),
        lambda: ann.delete("manifests/tag"),
    ]
    for ask in asked:
        answer = timed(ask).expect(503, code="UNAVAILABLE")
        assert int(answer.headers["Retry-After"]) > 0
    Client(node).get(ann.url(f"manifests/{image.digest}")).expect(401)
    Client(node).get("/healthz").expect(200)
    assert readiness(node) == 503
    assert max(waits) < PATIENCE + NOISE, waits
    return max(waits)
