"""The files in deploy/ agree with the image, with each other and with the settings."""

import re
from typing import Any

import yaml

from deploy.document import DEPLOY, DOCUMENT, ROOT, blocks
from holdfast.config.load import load

DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose" / "docker-compose.yml").read_text("utf-8"))["services"]
NGINX = (DEPLOY / "compose" / "nginx" / "registry.conf").read_text("utf-8")
KUBERNETES: dict[str, Any] = list(yaml.safe_load_all((DEPLOY / "kubernetes" / "holdfast.yaml").read_text("utf-8")))[-1]
POD = KUBERNETES["spec"]["template"]["spec"]
CONTAINER = POD["containers"][0]


def in_dockerfile(pattern: str) -> str:
    found = re.search(pattern, DOCKERFILE, re.MULTILINE)
    assert found is not None
    return found[1]


def test_port_is_that_of_the_image() -> None:
    port = int(in_dockerfile(r"^EXPOSE (\d+)$"))
    assert CONTAINER["ports"][0]["containerPort"] == port
    assert f"http://registry:{port};" in NGINX
    assert load(None, {}).settings.http.addr == f":{port}"
    shipped = str(ROOT / "image" / "config.yml")
    assert load(shipped, {}).settings.http.addr == f":{port}"
    assert load(shipped, {"PORT": "8123"}).settings.http.addr == ":8123"
    [traefik] = blocks("Traefik", "yaml")
    labels = yaml.safe_load(traefik)["services"]["registry"]["labels"]
    assert labels["traefik.http.services.registry.loadbalancer.server.port"] == str(port)
    assert f"reverse_proxy 127.0.0.1:{port}" in blocks("Caddy", "caddyfile")[0]


def test_data_are_on_the_volume_of_the_image() -> None:
    place = in_dockerfile(r'^VOLUME \["(.*)"\]$')
    assert COMPOSE["registry"]["volumes"] == [f"./data:{place}"]
    assert place in [mount["mountPath"] for mount in CONTAINER["volumeMounts"]]


def test_user_is_the_same_everywhere() -> None:
    [user] = re.findall(r":-(\d+):\1\}", COMPOSE["registry"]["user"])
    security = POD["securityContext"]
    assert {security[key] for key in ("runAsUser", "runAsGroup", "fsGroup")} == {int(user)}
    assert f"chown {user}:{user} data" in DOCUMENT.read_text("utf-8")


def test_variables_are_known_settings() -> None:
    variables = {variable["name"]: variable["value"] for variable in CONTAINER["env"]}
    loaded = load(None, variables | COMPOSE["registry"]["environment"])
    assert loaded.warnings == ()
    assert loaded.settings.auth.htpasswd is not None
    assert loaded.settings.auth.htpasswd.path.startswith(CONTAINER["volumeMounts"][1]["mountPath"] + "/")


def test_configuration_of_the_unit_is_right() -> None:
    unit = (DEPLOY / "systemd" / "holdfast.service").read_text("utf-8")
    loaded = load(str(DEPLOY / "systemd" / "config.yml"), {})
    assert loaded.warnings == ()
    assert loaded.settings.storage.filesystem is not None
    assert loaded.settings.storage.filesystem.rootdirectory == "/var/lib/" + re.findall("StateDirectory=(.*)", unit)[0]


def test_grace_is_longer_than_draining() -> None:
    grace = {POD["terminationGracePeriodSeconds"], int(COMPOSE["registry"]["stop_grace_period"].removesuffix("s"))}
    unit = (DEPLOY / "systemd" / "holdfast.service").read_text("utf-8")
    grace.add(int(re.findall(r"TimeoutStopSec=(\d+)s", unit)[0]))
    assert len(grace) == 1
    assert grace.pop() > 2 * 7
