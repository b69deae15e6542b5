"""What the kernel tells of a server's processes."""

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

from harness.http import Client
from harness.server import Server, wait_until

ENGINES = ("granian", "uvicorn")
MIB = 1024 * 1024


def workers(server: Server) -> list[int]:
    """The processes that serve, oldest first."""
    return [pid for pid in server.children() if b"spawn_main" in _read(pid, "cmdline")]


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for yet does not."""
    return b") Z " not in (stat := _read(pid, "stat")) and bool(stat)


def pss(server: Server) -> int:
    """Bytes of memory of all processes of a server; what they share counts once."""
    return sum(_memory(pid, "Pss:") for pid in (server.pid, *server.children()))


def peak(pid: int) -> int:
    """The most bytes of memory that a process had at any time."""
    for line in _read(pid, "status").decode().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(pid)


def peaks(server: Server) -> int:
    """The sum of the peaks of all workers, in bytes."""
    return sum(peak(pid) for pid in workers(server))


def descriptors(server: Server) -> dict[int, int]:
    """The open files of each worker."""
    return {pid: len(os.listdir(f"/proc/{pid}/fd")) for pid in workers(server)}


def kill(pid: int) -> None:
    """End one process as the kernel's out-of-memory killer does."""
    os.kill(pid, signal.SIGKILL)


def wait_gone(pids: list[int], seconds: float = 10.0) -> None:
    """Wait until all processes have ended."""
    wait_until(lambda: not any(alive(pid) for pid in pids), f"the end of {pids}", seconds)


def wait_workers(server: Server, accept: Callable[[list[int]], bool], seconds: float = 20.0) -> list[int]:
    """Wait until the list of workers is as wanted, and give it."""
    wait_until(lambda: accept(workers(server)), "the wanted workers", seconds)
    return workers(server)


def answers(server: Server) -> bool:
    """Whether a new connection is answered."""
    try:
        return Client(server, timeout=5).get("/").status == 200
    except (OSError, AssertionError):
        return False


def port_is_free(address: tuple[str, int]) -> bool:
    """Whether another program could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            probe.listen()
        except OSError:
            return False
        return True


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def _memory(pid: int, field: str) -> int:
    for line in _read(pid, "smaps_rollup").decode().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    return 0
