"""A push and a pull that follow each Location as clients do."""

from urllib.parse import urljoin, urlsplit

from harness.content import blob, config, image
from harness.http import Client, Response
from harness.repository import pieces, with_query

OCTETS = {"Content-Type": "application/octet-stream"}


def push_and_pull(client: Client, url: str, repository: str, *, size: int = 100_000) -> None:
    """Push an image with a layer of `size` bytes to what `url` leads to, and pull it again.

    `url`: scheme, host and port, maybe with a path, without a final slash. Raises `AssertionError` where a Location leaves it.
    """
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(url))
    base = f"{url}/v2/{repository}"
    layer, configuration = blob(repository, size), config(repository)
    content = image(configuration, [layer])

    def path(address: str) -> str:
        return address.removeprefix(origin)

    def located(response: Response) -> str:
        address = urljoin(origin + response.target, response.headers["Location"])
        assert address.startswith(base + "/"), response
        return address

    for part in (layer, configuration):
        opened = client.post(path(f"{base}/blobs/uploads/")).expect(202)
        sent = client.patch(path(located(opened)), OCTETS, pieces(part.body, 60_000)).expect(202)
        closed = client.put(path(with_query(located(sent), f"digest={part.digest}"))).expect(201)
        assert client.get(path(located(closed))).expect(200).body == part.body
    stored = client.put(path(f"{base}/manifests/latest"), {"Content-Type": content.media_type}, content.body).expect(
        201
    )
    assert client.get(path(located(stored))).expect(200).body == content.body
