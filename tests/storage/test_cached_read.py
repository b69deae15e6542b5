"""Reading from the page cache: right, or not at all, and never waiting."""

import os
import subprocess
import sys
from pathlib import Path

from holdfast.storage.cached_read import read_cached

READ = (
    "import os, sys; from holdfast.storage.cached_read import read_cached; read_cached(os.open(sys.argv[1], 0), 10, 20)"
)


def test_parts_of_a_file(tmp_path: Path) -> None:
    content = bytes(range(256)) * 1000
    (tmp_path / "file").write_bytes(content)
    with (tmp_path / "file").open("rb") as file:
        for offset, length in ((0, 1), (0, 256_000), (255_999, 1), (100_001, 77_777)):
            assert read_cached(file.fileno(), offset, length) in {content[offset : offset + length], None}
        for offset, length in ((0, 256_001), (256_000, 1), (0, 0)):
            assert read_cached(file.fileno(), offset, length) is None


def test_what_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    file = os.open(tmp_path / "file", os.O_WRONLY)
    assert read_cached(file, 0, 7) is None
    os.close(file)
    assert read_cached(file, 0, 7) is None


def test_the_kernel_is_told_not_to_wait(tmp_path: Path) -> None:
    """Seen from outside, as a flag in the wrong place would do no harm but on a slow disk."""
    (tmp_path / "file").write_bytes(b"x" * 100)
    command = ["strace", "-f", "-o", str(tmp_path / "trace"), "-e", "trace=preadv2", sys.executable, "-c", READ]
    subprocess.run([*command, str(tmp_path / "file")], check=True)
    assert "10, RWF_NOWAIT)" in (tmp_path / "trace").read_text()
