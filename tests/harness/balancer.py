"""nginx in front of several nodes, which take turns: each request goes to another node than the one before."""

from collections.abc import Sequence
from pathlib import Path

from deploy.proxies import Proxy, nginx

# A worker counts by itself who is next, and there is one. Each request gets a connection of its own to its node, also where a client keeps
# its connection, and nobody leaves the round. Bodies go through as they come, in both directions.
CONFIGURATION = """
log_format journal '$request_method $request_uri $status $upstream_addr';
upstream nodes {{
{nodes}
}}
server {{
    listen {host}:{port}{tls};
    access_log               {journal} journal;
    client_max_body_size     0;
    large_client_header_buffers 4 128k;
    proxy_request_buffering  off;
    proxy_buffering          off;
    proxy_http_version       1.1;
    proxy_read_timeout       900s;
    proxy_send_timeout       900s;
    proxy_next_upstream      {others};
    proxy_set_header Host              $http_host;
    proxy_set_header X-Real-IP         $remote_addr;
    proxy_set_header X-Forwarded-For   $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme;
    location / {{
        proxy_pass http://nodes;
    }}
}}
"""


def balancer(
    directory: Path,
    address: tuple[str, int],
    nodes: Sequence[tuple[str, int]],
    *,
    certificate: tuple[str, str] | None = None,
    pass_on: bool = False,
) -> Proxy:
    """nginx that listens on `address` and passes requests on to each of `nodes` in turn; start it with a `with` statement.

    `directory`: where to make it, for its files; `journal` in it has a line for each request: method, path, status, and the node, after those
    that were down.
    `certificate`: the files with its certificate and key; without it there is no TLS.
    `pass_on`: what a node that is down does not take goes to the next. Otherwise the client is told at once, so that no fault is covered up.
    """
    host, port = address
    directory.mkdir()
    tls = "" if certificate is None else " ssl; ssl_certificate {}; ssl_certificate_key {}".format(*certificate)
    servers = CONFIGURATION.format(
        nodes="\n".join(f"    server {node}:{number} max_fails=0;" for node, number in nodes),
        host=host,
        port=port,
        tls=tls,
        journal=directory / "journal",
        others="error timeout" if pass_on else "off",
    )
    return nginx(directory, "", host=host, port=port, servers=servers)
