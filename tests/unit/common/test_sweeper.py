"""What is wanted again is not dropped by a sweep that began before."""

import asyncio

from services.common.collected import Sweeper


class Part:
    """A service's part of some releases."""

    def __init__(self) -> None:
        self.unneeded = ["a", "b"]
        self.dropped: list[str] = []
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()
        self.sweeper = Sweeper(self.listed, self.drop, seconds=0.01)

    async def listed(self) -> list[str]:
        return [each for each in self.unneeded if each not in self.dropped]

    async def drop(self, release_id: str) -> None:
        self.begun.set()
        await self.may_end.wait()
        self.dropped.append(release_id)


async def test_a_release_settles_when_it_is_dropped_and_others_at_once() -> None:
    part = Part()
    part.sweeper.start()
    await part.begun.wait()
    await asyncio.wait_for(part.sweeper.settled("b"), 1.0)
    settling = asyncio.create_task(part.sweeper.settled("a"))
    part.unneeded.clear()  # both are taken back: "a" too late, "b" in time
    await asyncio.sleep(0.05)
    assert not settling.done()
    part.may_end.set()
    await settling
    await asyncio.sleep(0.1)
    await part.sweeper.close()
    assert part.dropped == ["a"]


async def test_a_failure_is_made_good_by_the_next_sweep() -> None:
    part, failed, done = Part(), list[str](), asyncio.Event()
    part.may_end.set()

    async def drop(release_id: str) -> None:
        if not failed:
            failed.append(release_id)
            raise OSError("not now")
        await part.drop(release_id)
        if part.dropped == ["a", "b"]:
            done.set()

    sweeper = Sweeper(part.listed, drop, seconds=0.01)
    sweeper.start()
    await asyncio.wait_for(done.wait(), 5.0)
    await sweeper.close()
    assert failed == ["a"]
