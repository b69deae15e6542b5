"""What is there before each action."""

from pathlib import Path

import pytest

from durability.actions import CONFIG, FIRST, LAYER, MOUNTED, NAME, SECOND, SETTINGS
from durability.ledger import Ledger, push_blob, push_manifest
from harness.http import Client
from harness.repository import Repository
from harness.server import Server


@pytest.fixture(scope="session")
def before(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ledger]:
    """What is there before each action, and what clients were told of it."""
    directory, ledger = tmp_path_factory.mktemp("before"), Ledger()
    with Server(directory, SETTINGS) as server:
        repository = Repository(Client(server), NAME)
        for content in (CONFIG, LAYER):
            push_blob(ledger, repository, content)
        push_blob(ledger, Repository(repository.client, "crash/source"), MOUNTED)
        push_manifest(ledger, repository, SECOND, "other")
        push_manifest(ledger, repository, FIRST, "tag")
    return directory / "root", ledger
