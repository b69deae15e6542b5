"""What every kind of locks must do; implementations subclass this in their tests."""
# ruff: noqa: S101 - a suite of tests

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from holdfast.storage.contract import LONG
from holdfast.storage.locks import Locks


class LocksContract:
    """Subclass with `locks`, which is called inside the event loop."""

    directory: Path

    @pytest.fixture(autouse=True)
    def _directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    def locks(self) -> Locks:
        """Fresh locks."""
        raise NotImplementedError

    def run(self, work: Callable[[Locks], Awaitable[None]]) -> None:
        """Run `work` on fresh locks and close them."""

        async def whole() -> None:
            locks = self.locks()
            try:
                async with asyncio.timeout(LONG):
                    await work(locks)
            finally:
                locks.close()

        asyncio.run(whole())

    def test_one_at_a_time(self) -> None:
        async def work(locks: Locks) -> None:
            inside = 0

            async def enter() -> None:
                nonlocal inside
                async with locks.hold("a"):
                    inside += 1
                    assert inside == 1
                    await asyncio.sleep(0)
                    inside -= 1

            await asyncio.gather(*(enter() for _ in range(100)))

        self.run(work)

    def test_names_do_not_wait_for_each_other(self) -> None:
        async def work(locks: Locks) -> None:
            async with AsyncExitStack() as stack:
                for number in range(3000):
                    await stack.enter_async_context(locks.hold(f"name {number}"))

        self.run(work)

    def test_whoever_fails_or_is_cancelled_lets_go(self) -> None:
        async def work(locks: Locks) -> None:
            async def hold() -> None:
                async with locks.hold("a"):
                    await asyncio.Event().wait()

            async def fail() -> None:
                async with locks.hold("a"):
                    waiting = asyncio.create_task(hold())
                    await asyncio.sleep(0)
                    waiting.cancel()
                    await asyncio.wait([waiting])
                    raise KeyError

            for _ in range(3):
                with pytest.raises(KeyError):
                    await fail()
                holding = asyncio.create_task(hold())
                await asyncio.sleep(0)
                holding.cancel()
                await asyncio.wait([holding])
            async with locks.hold("a"):
                pass

        self.run(work)

    def test_close_may_be_called_twice(self) -> None:
        async def work(locks: Locks) -> None:
            locks.close()

        self.run(work)
