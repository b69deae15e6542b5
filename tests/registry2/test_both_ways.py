"""One directory, docker-registry 2.8.2 and Holdfast in turn: what one has written, the other serves, there and back."""

from pathlib import Path

from harness.http import Client
from harness.server import Server
from registry2.pushing import (
    AnyRepository,
    every_blob,
    every_kind,
    moves_and_deletions,
    nothing_left,
    referrers_by_tag,
    same_configuration,
)
from registry2.servers import docker_registry, holdfast
from registry2.survey import DELIBERATE, NO, Difference, Names, Survey, deliberate, differences, survey

ALIKE = ["a", "a/b", "a-b", "a.b", "a_b", "a/b/c", "ab", "a-b/c"]


def fill(server: Server, names: Names, generation: int) -> None:
    """Everything that docker-registry can be asked to keep."""
    client = Client(server)

    def repository(name: str) -> AnyRepository:
        return AnyRepository(client, name, names, generation)

    every_kind(repository("kinds"))
    every_blob(repository("blobs/from"), repository("blobs/to"))
    moves_and_deletions(repository("moves"))
    referrers_by_tag(repository("referrers"))
    same_configuration([repository(name) for name in ALIKE])
    nothing_left(repository("emptied"))
    repository("uploads/only").leave_upload(b"half", 2)


def test_what_docker_registry_wrote_holdfast_serves_and_the_other_way_round(tmp_path: Path) -> None:
    names, used = Names(), set[Difference]()

    def compare(ours: Survey, theirs: Survey) -> None:
        assert differences(ours, theirs) == []
        used.update(
            filter(None, (deliberate(name, ours, theirs) for name in ours if ours[name] != theirs.get(name, NO)))
        )

    with docker_registry(tmp_path) as server:
        fill(server, names, 0)
        theirs = survey(server, names)
    assert sum(answer != NO for answer in theirs.values()) > 200
    with holdfast(tmp_path) as server:
        ours = survey(server, names)
        compare(ours, theirs)
        fill(server, names, 1)
        ours = survey(server, names)
    with docker_registry(tmp_path) as server:
        compare(ours, survey(server, names))
    assert used == set(DELIBERATE)
