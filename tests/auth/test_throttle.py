"""Counting failures: who is one client, and that memory is bounded."""

import asyncio

import pytest

from holdfast.auth.throttle import Limits, Throttle, group


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("x" * 1000, "x" * 64),
    ],
)
def test_group(client: str, expected: str) -> None:
    assert group(client) == expected


def test_remembers_a_bounded_number_of_clients() -> None:
    async def work() -> None:
        throttle = Throttle(Limits(clients=10))
        for number in range(100):
            await throttle.failed(f"10.0.0.{number}")
        assert len(throttle) == 10

    asyncio.run(work())


def test_slows_down_at_most_so_much_however_many_failures() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def work() -> None:
        throttle = Throttle(now=lambda: 0.0, sleep=sleep)
        for _ in range(2000):
            await throttle.failed("10.0.0.1")
        assert max(slept) == 4.0
        assert len(slept) == 1995

    asyncio.run(work())
