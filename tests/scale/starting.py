"""Starts ten nodes at once, many times: processes that do all that a worker does before it answers for names, and end then.

What takes most of the time of a start, loading the program, is done once: each process is forked from this one. Settings are read from standard
input, a JSON object in each line; for each line a line with the exit statuses of the processes is written. Logs go to standard error.
"""

import json
import os
import sys
from uuid import uuid4

import uvloop

from holdfast.app import compose, worker
from holdfast.app import place as places
from holdfast.config.load import load
from holdfast.metadata import postgresql_connection, postgresql_pool, postgresql_schema
from holdfast.observability import logs
from holdfast.storage import object_links, object_store

NODES = 10
LOADED = (compose, worker, postgresql_connection, postgresql_pool, postgresql_schema, object_links, object_store)
"""What a node needs: loaded before there are several processes."""


async def node(environment: dict[str, str]) -> None:
    """Build a registry, begin as its first worker does, and let go of everything."""
    settings = load(None, environment).settings
    logs.configure(settings.log.level, settings.log.formatter, settings.log.fields)
    registry = await compose.build(settings, places.find(settings), str(uuid4()), reports=True)
    await registry.begin()
    await registry.close()
    logs.flush()


def start(environment: dict[str, str], gate: tuple[int, int]) -> int:
    """Fork a node that begins when the second end of a pipe is closed: its process id."""
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        os.close(gate[1])
        os.read(gate[0], 1)
        uvloop.run(node(environment))
        status = 0
    except Exception:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(status)


def one_round(environment: dict[str, str]) -> list[int]:
    """Ten nodes at once: their exit statuses."""
    gate = os.pipe()
    processes = [start(environment, gate) for _ in range(NODES)]
    for end in gate:
        os.close(end)
    return [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes]


def main() -> None:
    """Answer lines until there are no more."""
    for line in sys.stdin:
        sys.stdout.write(json.dumps(one_round(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
