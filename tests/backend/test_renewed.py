"""A value of the process, renewed by those who ask: one renewal at a time, the old value meanwhile."""

import asyncio
from threading import Event

import pytest

from foundation.renewed import Renewed, hinted

PATIENCE_S = 20.0


class Source:
    """What is renewed; `gate` holds a renewal up, `fault` fails it."""

    def __init__(self) -> None:
        self.count, self.elapsed_s, self.fault = 0, 0.0, False
        self.gate = Event()
        self.gate.set()
        self.renewed = Renewed(
            self.renew, fresh_s=1, usable_s=3, hints=("a test's hint",), elapsed_s=lambda: self.elapsed_s
        )

    def renew(self) -> int:
        assert self.gate.wait(PATIENCE_S)
        if self.fault:
            raise ConnectionError("away")
        self.count += 1
        return self.count

    async def done(self) -> None:
        assert self.renewed._task is not None
        await self.renewed._task


async def test_many_who_ask_at_once_wait_for_one_renewal() -> None:
    source = Source()
    assert await asyncio.gather(*(source.renewed.get() for _ in range(50))) == [1] * 50


async def test_a_fresh_value_is_not_renewed_and_an_older_one_is_given_while_it_is() -> None:
    source = Source()
    await source.renewed.get()
    source.elapsed_s = 0.9
    assert source.renewed.at_hand() == 1
    source.gate.clear()
    source.elapsed_s = 1.0
    assert [source.renewed.at_hand() for _ in range(3)] == [1, 1, 1]
    source.gate.set()
    await source.done()
    assert (source.renewed.at_hand(), source.count) == (2, 2)


async def test_a_value_too_old_is_never_given() -> None:
    source = Source()
    await source.renewed.get()
    source.elapsed_s = 3.0
    source.gate.clear()
    assert source.renewed.at_hand() is None
    waiting = asyncio.create_task(source.renewed.get())
    source.gate.set()
    assert await waiting == 2


async def test_its_age_counts_from_when_the_renewal_began() -> None:
    source = Source()
    source.gate.clear()
    source.renewed.at_hand()
    source.elapsed_s = 3.0
    source.gate.set()
    await source.done()
    assert source.renewed.at_hand() is None


async def test_a_hint_makes_the_next_who_asks_begin() -> None:
    source = Source()
    await source.renewed.get()
    hinted("another hint")
    source.renewed.at_hand()
    assert source.count == 1
    hinted("a test's hint")
    assert source.renewed.at_hand() == 1
    await source.done()
    assert source.renewed.at_hand() == 2


async def test_a_failed_renewal_keeps_the_old_value_while_it_may_be_used_and_is_told_then() -> None:
    source = Source()
    await source.renewed.get()
    source.fault = True
    source.elapsed_s = 2.0
    assert source.renewed.at_hand() == 1
    await source.done()
    assert source.renewed.at_hand() == 1
    source.elapsed_s = 3.0
    with pytest.raises(ConnectionError):
        await source.renewed.get()
    source.fault, source.elapsed_s = False, 4.0
    assert await source.renewed.get() == 2
