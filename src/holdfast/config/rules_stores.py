"""Rules between the settings of object stores and of the database."""

import re
from collections.abc import Iterator
from typing import Any

from holdfast.config.address import is_address
from holdfast.config.problems import found

_PREFIX = re.compile(r"/*([A-Za-z0-9._=+@,:!$&'()~ -]+/)*[A-Za-z0-9._=+@,:!$&'()~ -]*/*")
_HIDDEN = "found a value that is not shown, expected"


def check_stores(storage: dict[str, Any], origins: dict[str, str], failed: set[str]) -> Iterator[str]:
    """The problems of the object store that was chosen, if one was."""
    for name, check in (("s3", _s3), ("gcs", _gcs), ("azure", _azure)):
        values = storage.get(name)
        if values is None:
            continue
        key = f"storage.{name}.rootdirectory"
        if not _is_prefix(values["rootdirectory"]):
            yield (
                f"{key} ({origins[key]}): found {found(values['rootdirectory'])}, expected names with single slashes "
                "between them, none of them . or .."
            )
        if not any(one.startswith(f"storage.{name}.") for one in failed):
            yield from check(values, f"storage.{name}", origins)


def check_metadata(values: dict[str, Any], origins: dict[str, str], failed: set[str]) -> Iterator[str]:
    """The problems of the database's address and of what needs a database server."""
    url = values["metadata"]["url"]
    if url and not is_address(url.partition("?")[0], ("postgresql", "postgres")):
        yield (
            f"metadata.url ({origins['metadata.url']}): {_HIDDEN} an address such as "
            "postgresql://user:password@host:5432/registry (in user and password, write @ as %40, / as %2F and : as %3A)"
        )
    if values["storage"]["links"]["disabled"] and not url and "metadata.url" not in failed:
        yield (
            f"storage.links.disabled ({origins['storage.links.disabled']}): it needs metadata.url, since the links "
            "replace an embedded database that is lost; remove it to start"
        )


def unused(values: dict[str, Any], origins: dict[str, str]) -> Iterator[str]:
    """Warnings about settings that others make useless."""
    if values["metadata"]["url"] and values["metadata"]["path"]:
        yield f"metadata.path ({origins['metadata.path']}): it has no effect beside metadata.url"
    s3 = values["storage"].get("s3")
    if s3 and s3["keyid"] and not s3["encrypt"]:
        yield f"storage.s3.keyid ({origins['storage.s3.keyid']}): it has no effect without storage.s3.encrypt"


def _s3(values: dict[str, Any], key: str, origins: dict[str, str]) -> Iterator[str]:
    if not (values["region"] or values["regionendpoint"]):
        yield f"{key}.region: it is needed without regionendpoint; write it, or set REGISTRY_STORAGE_S3_REGION"
    for name in ("regionendpoint", "redirectendpoint"):
        text = values[name]
        if text and not _is_endpoint(text):
            yield (
                f"{key}.{name} ({origins[f'{key}.{name}']}): found {found(text)}, expected an address without a path, "
                "such as https://s3.example.com:9000"
            )
    for name, other in (("accesskey", "secretkey"), ("secretkey", "accesskey"), ("sessiontoken", "accesskey")):
        if values[name] and not values[other]:
            yield f"{key}.{name} ({origins[f'{key}.{name}']}): it needs {key}.{other} beside it"
    for name in ("accelerate", "usedualstack", "usefipsendpoint"):
        if values[name] and values["regionendpoint"]:
            yield f"{key}.{name} ({origins[f'{key}.{name}']}): only Amazon has it; remove it or regionendpoint"
    if values["accelerate"] and values["usefipsendpoint"]:
        yield f"{key}.accelerate ({origins[f'{key}.accelerate']}): Amazon has no such addresses with usefipsendpoint"
    if values["accelerate"] and "." in values["bucket"]:
        yield f"{key}.accelerate ({origins[f'{key}.accelerate']}): Amazon has it only for buckets without dots in the name"


def _gcs(values: dict[str, Any], key: str, origins: dict[str, str]) -> Iterator[str]:
    if values["keyfile"] and values["credentials"]:
        yield f"{key}.keyfile ({origins[f'{key}.keyfile']}) and {key}.credentials exclude each other; give one of them only"
    if values["chunksize"] % (256 * 1024):
        yield (
            f"{key}.chunksize ({origins[f'{key}.chunksize']}): found {values['chunksize']}, expected a multiple of 262144"
        )


def _azure(values: dict[str, Any], key: str, origins: dict[str, str]) -> Iterator[str]:
    credentials = values["credentials"]
    if credentials["type"] == "client_secret":
        for name in ("clientid", "tenantid", "secret"):
            if not credentials[name]:
                yield f"{key}.credentials.{name}: it is needed, since {key}.credentials.type is client_secret"
    if values["serviceurl"] and not is_address(values["serviceurl"]):
        yield (
            f"{key}.serviceurl ({origins[f'{key}.serviceurl']}): found {found(values['serviceurl'])}, expected an address "
            "such as https://account.blob.core.windows.net"
        )


def _is_prefix(text: str) -> bool:
    return bool(_PREFIX.fullmatch(text)) and not {".", ".."} & {*text.split("/")}


def _is_endpoint(text: str) -> bool:
    address = text if "://" in text else f"https://{text}"
    return is_address(address) and address.rstrip("/").count("/") == 2 and "@" not in address
