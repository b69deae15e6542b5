"""What the queries of leases must answer on every database; implementations subclass this in their tests."""
# ruff: noqa: S101 - a suite of tests

from holdfast.metadata.contract import EmptyDatabase
from holdfast.metadata.contract_queries import on_connection
from holdfast.metadata.port import Connection
from holdfast.metadata.queries import leases

HOUR = 60 * 60 * 1000


class LeasesContract(EmptyDatabase):
    """Every function of `holdfast.metadata.queries.leases`."""

    @on_connection
    def test_one_has_a_lease_until_it_lapses_or_is_released(self, c: Connection) -> None:
        assert not leases.is_taken(c, "a")
        assert leases.take(c, "a", "x", HOUR)
        assert leases.is_taken(c, "a")
        assert not leases.take(c, "a", "y", HOUR)
        assert leases.take(c, "b", "y", HOUR)
        leases.release(c, "a", "y")
        assert not leases.take(c, "a", "y", HOUR)
        assert leases.take(c, "a", "x", -HOUR)
        assert not leases.is_taken(c, "a")
        assert leases.take(c, "a", "y", HOUR)
        leases.release(c, "a", "y")
        assert not leases.is_taken(c, "a")

    @on_connection
    def test_only_its_holder_renews_a_lease(self, c: Connection) -> None:
        leases.take(c, "a", "x", -HOUR)
        leases.take(c, "b", "y", -HOUR)
        assert leases.renew(c, {"x": "a", "z": "b", "v": "none"}, HOUR) == {"x"}
        assert leases.held(c, "") == ["a"]
        assert leases.renew(c, {}, HOUR) == set()
        many = {f"x{number}": f"c{number}" for number in range(700)}
        for holder, name in many.items():
            leases.take(c, name, holder, HOUR)
        assert leases.renew(c, many, HOUR) == set(many)

    @on_connection
    def test_names_of_leases_and_what_lapsed_long_ago(self, c: Connection) -> None:
        for name in ("job b", "job a", "other", "job", "jobs"):
            leases.take(c, name, name, HOUR)
        leases.take(c, "job c", "x", -1)
        leases.take(c, "job d", "x", -HOUR)
        assert leases.held(c, "job ") == ["job a", "job b"]
        assert leases.held(c, "") == ["job", "job a", "job b", "jobs", "other"]
        assert leases.counted(c, "job ") == 2
        leases.forget(c, HOUR // 2)
        assert c.all("SELECT name FROM leases WHERE name > 'job ' AND name < 'jobs' ORDER BY name") == [
            ("job a",),
            ("job b",),
            ("job c",),
        ]
