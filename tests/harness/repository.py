"""The usual steps of a push, each checked."""

from collections.abc import Iterable, Iterator
from typing import Any

from harness.content import Content, blob, config, digest, image
from harness.http import Client, Fields, Response


def with_query(location: str, query: str) -> str:
    """A Location with further parameters, whether or not it has some."""
    return f"{location}{'&' if '?' in location else '?'}{query}"


def pieces(octets: bytes, size: int) -> Iterator[bytes]:
    """The bytes in pieces of `size`, the last one maybe shorter."""
    for start in range(0, len(octets), size):
        yield octets[start : start + size]


class Repository:
    """A repository of a server, by name; it need not exist yet."""

    def __init__(self, client: Client, name: str) -> None:
        self.client = client
        self.name = name
        self._blobs = 0

    def url(self, tail: str) -> str:
        """The path of something in this repository."""
        return f"/v2/{self.name}/{tail}"

    def get(self, tail: str, headers: Fields = ()) -> Response:
        return self.client.get(self.url(tail), headers)

    def head(self, tail: str, headers: Fields = ()) -> Response:
        return self.client.head(self.url(tail), headers)

    def delete(self, tail: str) -> Response:
        return self.client.delete(self.url(tail))

    def blob(self, size: int = 1000, **fields: Any) -> Content:
        """A new blob that no other repository has, not pushed yet."""
        self._blobs += 1
        return blob(f"{self.name} {self._blobs}", size, **fields)

    def open_upload(self, query: str = "") -> str:
        """Open an upload: its Location."""
        return self.client.post(self.url("blobs/uploads/") + query).expect(202).headers["Location"]

    def push_blob(self, content: Content, algorithm: str = "sha256") -> Content:
        """Push a blob in one request and give it back."""
        wanted = digest(content.body, algorithm)
        self.client.post(
            self.url(f"blobs/uploads/?digest={wanted}"), {"Content-Type": "application/octet-stream"}, content.body
        ).expect(201)
        return content

    def put_manifest(self, content: Content, reference: str = "", query: str = "") -> Response:
        """Send a manifest under a reference, by default its digest: the answer, whatever it is."""
        return self.client.put(
            self.url(f"manifests/{reference or content.digest}{query}"),
            {"Content-Type": content.media_type},
            content.body,
        )

    def push_manifest(self, content: Content, *references: str) -> Content:
        """Push a manifest under each reference, or under its digest, and give it back."""
        for reference in references or (content.digest,):
            self.put_manifest(content, reference).expect(201)
        return content

    def image(self, layers: Iterable[Content] | None = None, **fields: Any) -> Content:
        """A new image manifest; its config and layers are pushed, it is not."""
        layers = [self.blob()] if layers is None else list(layers)
        for content in (configuration := config(f"{self.name} {self._blobs}"), *layers):
            self.push_blob(content)
        self._blobs += 1
        return image(configuration, layers, **fields)

    def push_image(self, *references: str, **fields: Any) -> Content:
        """Push a new image under each reference, or under its digest."""
        return self.push_manifest(self.image(**fields), *references)

    def tags(self) -> list[str]:
        """The first page of the tags."""
        tags: list[str] = self.get("tags/list").expect(200).json()["tags"]
        return tags

    def referrers(self, subject: str, query: str = "") -> list[dict[str, Any]]:
        """The descriptors of the manifests that refer to a digest."""
        found: list[dict[str, Any]] = self.get(f"referrers/{subject}{query}").expect(200).json()["manifests"]
        return found
