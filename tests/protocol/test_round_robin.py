"""What the other tests rely on where they run on several nodes: each request is another node's, and no node's failure is hidden."""

from pathlib import Path

from harness.http import Client, Connection
from harness.nodes import Nodes

IN_MEMORY = {"storage": "inmemory"}


def test_nodes_take_turns_also_within_a_connection(tmp_path: Path) -> None:
    with Nodes(tmp_path, IN_MEMORY) as nodes:
        with Connection(nodes) as connection:
            for _ in range(7):
                connection.request("GET", "/v2/").expect(200)
        for _ in range(5):
            Client(nodes).get("/v2/").expect(200)
        shares = nodes.journal()
        addresses = {f"{host}:{port}" for host, port in (node.address for node in nodes.nodes)}
        assert {frozenset(three) for three in zip(shares, shares[1:], shares[2:], strict=False)} == {
            frozenset(addresses)
        }

        nodes.nodes[0].kill()
        assert sorted(Client(nodes).get("/v2/").status for _ in range(6)) == [200] * 4 + [502] * 2


def test_a_balancer_may_pass_on_what_a_dead_node_does_not_take(tmp_path: Path) -> None:
    with Nodes(tmp_path, IN_MEMORY, pass_on=True) as nodes:
        nodes.nodes[1].kill()
        for _ in range(6):
            Client(nodes).post("/v2/a/blobs/uploads/", {}, b"").expect(202)
