"""The walk-through of 2016: docker-compose with registry:2 and an nginx that handles authentication and TLS; only the registry's image is another."""

from pathlib import Path

from deploy import nginx_image
from deploy.clientside import NAME, make_certificate, named, push_and_pull, trust
from deploy.compose import compose_command, write_first_grammar
from image.machine import Machine

FILES = Path(__file__).parent / "year2016"
AT = f"{NAME}:5443"
LAYER = 110_000_000
OLD_DOCKER = "docker/1.5.0 go/go1.3.3 git-commit/a8a31ef kernel/3.13 os/linux arch/amd64"


def test_docker_private_registry(machine: Machine, image: str, nginx_images: None) -> None:
    directory = machine.home / "docker-registry"
    compose = set_up(machine, image, directory)
    named(machine)

    # You can spin up the docker registry with:
    machine.sh(f"cd docker-registry && {compose} up -d")
    machine.answers("http://127.0.0.1:5000/v2/")
    # If everything is ok, you can check if platform is up:
    listed = machine.sh("docker ps")
    assert "0.0.0.0:5443->443/tcp" in listed
    assert "127.0.0.1:5000->5000/tcp" in listed
    # Your private repository is accessible via https://registry...:5443/v2/
    check_answers(machine)

    # You can login to your registry with:
    trust(machine, directory / "nginx/example.com.crt", AT)
    assert "no basic auth credentials" in machine.fails(f"docker pull {AT}/my-ubuntu")
    machine.sh(f"docker login https://{AT} --username iulia --password-stdin", stdin="secret")
    push_and_pull(machine, "my-ubuntu", AT, LAYER)
    assert (directory / "data/docker/registry/v2/repositories/my-ubuntu/_manifests/tags/latest/current/link").is_file()

    # What "respawn" was for: all of it comes back after a stop.
    machine.sh(f"cd docker-registry && {compose} stop && {compose} up -d")
    machine.answers("http://127.0.0.1:5000/v2/my-ubuntu/manifests/latest")


def set_up(machine: Machine, image: str, directory: Path) -> str:
    """Two directories on the host, the file for docker-compose, nginx's with certificate and passwords: how compose is called."""
    nginx = directory / "nginx"
    nginx.mkdir(parents=True)
    (directory / "data").mkdir()
    compose = compose_command(machine)
    text = (FILES / "docker-compose.yml").read_text()
    assert text.count("registry:2") == 1
    write_first_grammar(machine, compose, directory / "docker-compose.yml", text.replace("registry:2", image))
    configuration = (FILES / "nginx.conf").read_text()
    if nginx_image.version() >= (1, 25, 1):
        configuration = configuration.replace("ssl on;", "").replace("listen 443;", "listen 443 ssl;")
    (nginx / "nginx.conf").write_text(configuration)
    make_certificate(machine, nginx / "example.com.crt", nginx / "example.com.key")
    machine.sh("cd docker-registry/nginx && htpasswd -i -c registry.password iulia", stdin="secret")
    return compose


def check_answers(machine: Machine) -> None:
    """What a look at the registry with curl shows."""
    curl = "curl --silent --show-error --include --cacert docker-registry/nginx/example.com.crt"
    machine.answers(
        f"https://{AT}/v2/",
        "--cacert",
        str(machine.home / "docker-registry/nginx/example.com.crt"),
        "--user",
        "iulia:secret",
    )
    refused = machine.sh(f"{curl} https://{AT}/v2/")
    assert "401 Unauthorized" in refused
    assert "docker-distribution-api-version: registry/2.0" in refused.lower()
    assert "404 Not Found" in machine.sh(f"{curl} --user-agent '{OLD_DOCKER}' https://{AT}/v2/")
    opened = machine.sh(f"{curl} --user iulia:secret --request POST https://{AT}/v2/my-ubuntu/blobs/uploads/")
    [location] = [line for line in opened.lower().splitlines() if line.startswith("location:")]
    assert location.split()[1].startswith(("/v2/my-ubuntu/blobs/uploads/", f"https://{AT}/v2/my-ubuntu/blobs/uploads/"))
