"""nginx's image, made of this machine's nginx: what Docker Hub's does, with the files that the program needs and no others."""

import io
import re
import subprocess
import tarfile
from pathlib import Path

from clients.tools import program
from image.machine import Machine

CONFIGURATION = """
user www-data;
error_log stderr notice;
pid /run/nginx.pid;
events { }
http {
    include /etc/nginx/mime.types;
    access_log /dev/stdout;
    include /etc/nginx/conf.d/*.conf;
}
"""
FILES = {
    "etc/nginx/nginx.conf": CONFIGURATION,
    "etc/nginx/mime.types": "types { text/html html; application/json json; }\n",
    "etc/passwd": "root:x:0:0:root:/:/bin/sh\nwww-data:x:33:33:www-data:/:/bin/sh\n",
    "etc/group": "root:x:0:\nwww-data:x:33:\n",
}
DIRECTORIES = ("dev", "etc/nginx/conf.d", "proc", "run", "sys", "tmp", "var/lib/nginx", "var/log/nginx")
CHANGES = (
    'CMD ["nginx", "-g", "daemon off;"]',
    "EXPOSE 80",
    "ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin",
)


def version() -> tuple[int, ...]:
    """nginx's version, such as (1, 22, 1)."""
    said = subprocess.run([program("nginx"), "-v"], capture_output=True, text=True, check=True).stderr
    found = re.search(r"nginx/([\d.]+)", said)
    assert found is not None, said
    return tuple(int(number) for number in found[1].split("."))


def make(machine: Machine, directory: Path, *names: str) -> None:
    """Import nginx's image under each of the names. `directory`: where its archive is written."""
    archive = directory / "nginx.tar"
    with tarfile.open(archive, "w") as tar:
        for name in DIRECTORIES:
            member = tarfile.TarInfo(name)
            member.type, member.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(member)
        for name, text in FILES.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
        binary = Path(program("nginx")).resolve()
        tar.add(binary, "usr/sbin/nginx")
        for library in _libraries(binary):
            tar.add(Path(library).resolve(), library.lstrip("/"))
    changes = [word for change in CHANGES for word in ("--change", change)]
    for name in names:
        machine.docker("import", *changes, str(archive), name)


def _libraries(binary: Path) -> list[str]:
    """The shared libraries of a program, with the loader, at the places where it looks for them."""
    listed = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, check=True).stdout
    return re.findall(r"(/\S+) \(0x", listed)
