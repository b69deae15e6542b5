"""The pulls that were served of late: the file that all workers of a server share."""

import threading
from pathlib import Path

import apsw

from holdfast.metadata.recent import RecentPulls


def test_a_worker_that_starts_while_another_makes_the_file_waits_for_it(tmp_path: Path) -> None:
    file = tmp_path / "recent.db"
    other = apsw.Connection(str(file))
    other.execute("BEGIN EXCLUSIVE")
    ends = threading.Timer(0.5, lambda: other.execute("COMMIT"))
    ends.start()
    try:
        RecentPulls(file).close()
    finally:
        ends.join()
        other.close()
