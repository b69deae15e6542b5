"""Images made on this machine, of one static program and random bytes."""

import itertools
import os
import tarfile
from collections.abc import Sequence
from pathlib import Path

from clients.tools import Tool, program

MEBIBYTE = 1 << 20
_numbers = itertools.count(1)


def context(directory: Path, *, layers: int = 1, layer_size: int = 1000) -> str:
    """Write a Dockerfile and what it copies: the words that the image's container prints, different for each call.

    The image has a shell in its first layer, then `layers` layers with one file of `layer_size` random bytes each.
    """
    directory.mkdir(parents=True)
    words = f"hello from image {next(_numbers)}"
    (directory / "busybox").write_bytes(Path(program("busybox")).read_bytes())
    (directory / "busybox").chmod(0o755)
    lines = ["FROM scratch", "COPY busybox /bin/busybox"]
    for number in range(layers):
        (directory / f"layer{number}").write_bytes(os.urandom(layer_size))
        lines.append(f"COPY layer{number} /layers/")
    lines.append(f'CMD ["/bin/busybox", "echo", "{words}"]')
    (directory / "Dockerfile").write_text("\n".join(lines) + "\n")
    return words


def write_layer(path: Path, size: int) -> None:
    """Write an archive with one file of `size` bytes, fast, that gzip cannot make smaller: it sees repetitions within 32 KiB only."""
    block = bytearray(os.urandom(min(8 * MEBIBYTE, size)))
    member = tarfile.TarInfo("content")
    member.size = size
    with path.open("wb") as file:
        file.write(member.tobuf())
        for start in range(0, size, len(block)):
            block[:8] = start.to_bytes(8, "big")
            file.write(memoryview(block)[: size - start])
        file.write(bytes(-size % tarfile.BLOCKSIZE + 2 * tarfile.BLOCKSIZE))


def build(
    tool: Tool, directory: Path, name: str, *, layers: int = 1, layer_size: int = 1000, options: Sequence[str] = ()
) -> str:
    """Build an image with Docker, Podman or Buildah: the words that its container prints."""
    words = context(directory, layers=layers, layer_size=layer_size)
    # Docker makes a layer of each line by itself.
    each_line = () if tool.name == "docker" else ("--layers",)
    tool("build", "--quiet", *each_line, *options, "--tag", name, str(directory))
    return words
