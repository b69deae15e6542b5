"""The Kubernetes manifest: right by the schemas, and its container runs as it says, in Docker."""

from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from clients.images import build
from deploy.document import DEPLOY, blocks
from image.machine import Machine

MANIFEST = DEPLOY / "kubernetes" / "holdfast.yaml"
# The oldest one that is still looked after, and newer ones.
VERSIONS = ("1.33", "1.35", "1.37")


def resources() -> list[dict[str, Any]]:
    return [*yaml.safe_load_all(MANIFEST.read_text("utf-8")), *map(yaml.safe_load, blocks("Kubernetes", "yaml"))]


def pod() -> dict[str, Any]:
    [deployment] = [resource for resource in resources() if resource["kind"] == "Deployment"]
    found: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return found


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("resource", resources(), ids=lambda resource: resource["kind"])
def test_resource_is_right_by_the_schema(resource: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(resource, version, strict=True)


def test_the_schema_finds_mistakes() -> None:
    wrong = resources()[0]
    wrong["spec"]["accessModus"] = []
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


def test_names_agree() -> None:
    claim, service, deployment, ingress = resources()
    container = pod()["containers"][0]
    assert pod()["volumes"][0]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    labels = deployment["spec"]["template"]["metadata"]["labels"].items()
    assert service["spec"]["selector"].items() <= labels
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels
    assert {volume["name"] for volume in pod()["volumes"]} == {mount["name"] for mount in container["volumeMounts"]}
    [path] = ingress["spec"]["rules"][0]["http"]["paths"]
    assert path["backend"]["service"] == {"name": service["metadata"]["name"], "port": {"name": "http"}}
    assert service["spec"]["ports"][0]["targetPort"] == container["ports"][0]["name"] == "http"


def test_one_server_at_a_time_without_rights() -> None:
    assert [resource["spec"]["strategy"] for resource in resources() if resource["kind"] == "Deployment"] == [
        {"type": "Recreate"}
    ]
    assert pod()["enableServiceLinks"] is False
    assert pod()["automountServiceAccountToken"] is False
    assert pod()["securityContext"]["runAsNonRoot"] is True
    assert pod()["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod()["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_container_runs_as_the_manifest_says(machine: Machine, image: str) -> None:
    container, user = pod()["containers"][0], pod()["securityContext"]["runAsUser"]
    assert container["image"] == f"{image}:latest"
    machine.sh("htpasswd -i -B -c users ann", stdin="secret")
    machine.sh("mkdir secret && mv users secret && chmod 644 secret/users")
    places = {"data": "data", "users": f"{machine.home}/secret"}
    options = [f"--user {user}:{pod()['securityContext']['runAsGroup']}", "--read-only --cap-drop ALL"]
    options += ["--security-opt no-new-privileges", f"--memory {container['resources']['limits']['memory'][:-1]}"]
    options += [f"--env '{variable['name']}={variable['value']}'" for variable in container["env"]]
    for mount in container["volumeMounts"]:
        mode = ":ro" if mount.get("readOnly") else ""
        options.append(f"--volume {places[mount['name']]}:{mount['mountPath']}{mode}")
    port = container["ports"][0]["containerPort"]
    machine.sh(f"docker run -d --name pod -p 8080:{port} {' '.join(options)} {container['image']}")

    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        machine.answers(f"http://localhost:8080{container[probe]['httpGet']['path']}")
    assert "401" in machine.sh("curl --silent --head http://localhost:8080/v2/")
    machine.sh("docker login --username ann --password-stdin localhost:8080", stdin="secret")
    build(machine.docker, machine.home / "app", "localhost:8080/team/app")
    machine.sh("docker push localhost:8080/team/app")
    assert set(machine.sh("docker top pod -o pid,uid").split("\n", 1)[1].split()[1::2]) == {str(user)}
    machine.sh(f"docker stop --time {pod()['terminationGracePeriodSeconds']} pod")
    assert machine.sh("docker inspect --format '{{.State.ExitCode}}' pod") == "0"
