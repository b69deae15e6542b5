"""docker-compose, whichever generation is installed."""

from pathlib import Path

from clients.tools import ToolFailed
from image.machine import Machine

SERVICES = "services:\n"


def compose_command(machine: Machine) -> str:
    """How docker-compose is called on the machine. Raises `AssertionError` where there is none."""
    for command in ("docker-compose", "docker compose"):
        try:
            machine.sh(f"{command} version")
        except ToolFailed:
            continue
        return command
    raise AssertionError("docker-compose is not installed; ./test installs it or says how to")


def write_first_grammar(machine: Machine, command: str, file: Path, text: str) -> None:
    """Write a file in the grammar without `services:`. The second generation does not know it, whatever is in the file."""
    if machine.sh(f"{command} version --short").lstrip("v").startswith("1."):
        file.write_text(text)
    else:
        file.write_text(SERVICES + "".join(f"  {line}" for line in text.splitlines(keepends=True)))
