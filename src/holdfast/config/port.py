"""`PORT`, by which hosting platforms say where a program has to listen."""

import re
from collections.abc import Mapping

from holdfast.config.problems import Findings, found
from holdfast.config.tree import Branch, Leaf

PORT = "PORT"


def take_port(root: Branch, environ: Mapping[str, str], findings: Findings) -> None:
    """Set `http.addr` to the variable's port if nothing else sets it; another kind of value is a problem.

    Going on with the default would leave a platform waiting at a port where nobody answers.
    """
    text = environ.get(PORT, "").strip()
    http = root.children.setdefault("http", Branch("default"))
    if isinstance(http, Leaf) and http.value is None:
        http = root.children["http"] = Branch(http.origin)
    if not text or not isinstance(http, Branch) or _is_given(http, "addr") or _is_given(http, "net", besides="tcp"):
        return
    if re.fullmatch(r"0*[1-9][0-9]{0,4}", text) and int(text) <= 65535:
        http.children["addr"] = Leaf(f"variable {PORT}", f":{int(text)}")
    else:
        findings.problems.append(
            f"{PORT}: found {found(text)}, expected a port from 1 to 65535 to listen on; unset it, or set http.addr"
        )


def _is_given(http: Branch, name: str, besides: str | None = None) -> bool:
    entry = http.children.get(name)
    return entry is not None and not (isinstance(entry, Leaf) and entry.value in (None, besides))
