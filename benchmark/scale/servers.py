"""The registries that are measured, each on a bucket of its own in the same S3 engine."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.servers import OUR_PROGRAM, DockerRegistry, Server, our_path

# JSON is YAML too. Both registries read the same.
LOG = {"level": "error", "accesslog": {"disabled": True}}


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where a registry keeps its bytes: an S3 engine on loopback and a bucket in it."""

    port: int
    name: str
    access_key: str
    secret_key: str

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def behind(self, port: int) -> "Bucket":
        """The same bucket, reached through a proxy."""
        return replace(self, port=port)


class OnBucket(Server):
    """A registry that reads a configuration file with a bucket in it."""

    def __init__(self, work: Path, name: str, bucket: Bucket) -> None:
        self.name = name
        super().__init__(work)
        self.bucket = bucket

    def configuration(self) -> str:
        """Write the file; gives its path."""
        bucket = self.bucket
        s3 = {
            "region": "us-east-1",
            "regionendpoint": bucket.endpoint,
            "bucket": bucket.name,
            "accesskey": bucket.access_key,
            "secretkey": bucket.secret_key,
            "secure": False,
            "v4auth": True,
        }
        path = self._work / f"{self.name}.yml"
        content = {
            "version": "0.1",
            "log": LOG,
            "storage": {"cache": {"blobdescriptor": "inmemory"}, "s3": s3},
            "http": {"addr": f"127.0.0.1:{self.port}", "secret": "benchmark"},
        }
        path.write_text(json.dumps(content, indent=1))
        return str(path)


class TheirsOnBucket(OnBucket):
    """docker-registry on a bucket."""

    def command(self) -> list[str]:
        return [DockerRegistry.program, "serve", self.configuration()]

    def variables(self) -> dict[str, str]:
        return {"OTEL_TRACES_EXPORTER": "none"}


class OursOnBucket(OnBucket):
    """Holdfast on a bucket. `database`: the URL of its PostgreSQL database, or the directory for an embedded one."""

    first = "/readyz"

    def __init__(self, work: Path, name: str, bucket: Bucket, database: str | Path, workers: int) -> None:
        super().__init__(work, name, bucket)
        self._database = database
        self._workers = workers

    def command(self) -> list[str]:
        return [*OUR_PROGRAM, "serve", self.configuration()]

    def variables(self) -> dict[str, str]:
        kind = "PATH" if isinstance(self._database, Path) else "URL"
        return {
            "PYTHONPATH": our_path(),
            "REGISTRY_SERVER_WORKERS": str(self._workers),
            f"REGISTRY_METADATA_{kind}": str(self._database),
        }
