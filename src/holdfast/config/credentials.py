"""The access key of S3 from the variables that Amazon's own tools have, where the settings name none."""

from collections.abc import Mapping

from holdfast.config.tree import Branch, Entry, Leaf

VARIABLES = {
    "accesskey": "AWS_ACCESS_KEY_ID",
    "secretkey": "AWS_SECRET_ACCESS_KEY",
    "sessiontoken": "AWS_SESSION_TOKEN",
}


def take_credentials(root: Branch, environ: Mapping[str, str]) -> None:
    """Put them under `storage.s3`, if that is there without keys, and both keys are set."""
    storage = root.children.get("storage")
    s3 = storage.children.get("s3") if isinstance(storage, Branch) else None
    if not isinstance(s3, Branch) or any(_is_given(s3.children.get(name)) for name in VARIABLES):
        return
    if not all(environ.get(VARIABLES[name]) for name in ("accesskey", "secretkey")):
        return
    for name, variable in VARIABLES.items():
        if environ.get(variable):
            s3.children[name] = Leaf(f"variable {variable}", environ[variable])


def _is_given(entry: Entry | None) -> bool:
    return entry is not None and not (isinstance(entry, Leaf) and not entry.value)
