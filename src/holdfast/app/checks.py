"""The `health` section as the checks that a worker makes."""

from functools import partial
from urllib.parse import urlsplit

from holdfast.config.settings import Health
from holdfast.observability.checks import Check, Look
from holdfast.observability.looks import look_at_file, look_at_page, look_at_port


def checks_of(health: Health, storage: Look) -> list[Check]:
    """What the section asks for; `storage` looks at the storage."""
    found = []
    if health.storagedriver.enabled:
        driver = health.storagedriver
        found.append(Check("storagedriver", storage, driver.interval, driver.interval, driver.threshold))
    for one in health.file:
        found.append(Check(f"file {one.file}", partial(look_at_file, one.file), one.interval, one.interval, 1))
    for page in health.http:
        look = partial(look_at_page, page.uri, page.headers, page.statuscode)
        timeout = page.timeout or page.interval
        found.append(Check(f"http {_shown(page.uri)}", look, page.interval, timeout, page.threshold))
    for port in health.tcp:
        timeout = port.timeout or port.interval
        found.append(
            Check(f"tcp {port.addr}", partial(look_at_port, port.addr), port.interval, timeout, port.threshold)
        )
    return found


def _shown(uri: str) -> str:
    """An address without what may be secret in it."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
