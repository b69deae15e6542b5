"""Puts together what the image adds to its base, in an empty directory that is then copied over the base's root."""

import importlib
import os
import py_compile
import shutil
import sys
import sysconfig
from pathlib import Path

HERE = Path(__file__).parent
# What a server and the health check load, some of it on demand only.
LOADED = (
    "holdfast.cli.main",
    "holdfast.app.serve",
    "holdfast.app.worker",
    "holdfast.metadata.postgresql_pool",
    "holdfast.storage.object_store",
    "granian.server.common",
    "uvloop",
    "multiprocessing.popen_spawn_posix",
    "multiprocessing.resource_tracker",
    "multiprocessing.spawn",
    "encodings.idna",
    "runpy",
)


def assemble(root: Path) -> None:
    """Make the tree: program, commands, configuration, volume."""
    program = root / "opt/holdfast"
    compile_standard_library(root)
    shutil.copytree(sys.prefix, program, symlinks=True)
    compile_packages(program)
    commands = root / "usr/bin"
    commands.mkdir(parents=True)
    for name in ("holdfast", "registry"):
        (commands / name).symlink_to(f"/opt/holdfast/bin/{name}")
    put(HERE / "htpasswd.py", commands / "htpasswd", 0o755)
    put(HERE / "entrypoint.py", root / "entrypoint.sh", 0o755)
    put(HERE / "config.yml", root / "etc/docker/registry/config.yml", 0o644)
    # Whatever is mounted at one of the two places is seen at both.
    (root / "etc/distribution").symlink_to("docker/registry")
    volume = root / "var/lib/registry"
    volume.mkdir(parents=True)
    volume.chmod(0o777)  # a new volume gets this mode: any user that the container runs as can write to it


def put(source: Path, target: Path, mode: int) -> None:
    """Copy one file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(mode)


def compile_packages(program: Path) -> None:
    """Compile everything; the files never change, so that no process has to compare dates."""
    for source in sorted((program / "lib").rglob("*.py")):
        py_compile.compile(
            str(source),
            dfile=str("/" / source.relative_to(program.parents[1])),
            doraise=False,
            quiet=1,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )


def compile_standard_library(root: Path) -> None:
    """Compile the modules of the standard library that Holdfast loads, where the base has them as source only."""
    for name in LOADED:
        importlib.import_module(name)
    places = (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))
    for module in list(sys.modules.values()):
        source, compiled = getattr(module, "__file__", None), getattr(module, "__cached__", None)
        if source and compiled and source.startswith(places) and not os.path.exists(compiled):
            target = root / compiled.lstrip("/")
            py_compile.compile(source, cfile=str(target), doraise=True)


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    assemble(Path(sys.argv[1]))
