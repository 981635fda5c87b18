"""Kills at random moments, each of which can be told again by its seed."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

_PAUSES = (1.0, 7.0)  # seconds between two kills; many come before the last victim is back


async def wreak(
    kill: Callable[[str], Awaitable[None]], times: Mapping[str, int], seed: int
) -> Counter[str]:
    """Kills each victim so many times, in random order and at random moments.

    Returns:
        Kills by victim.
    """
    rng = random.Random(seed)
    order = [name for name, count in times.items() for _ in range(count)]
    rng.shuffle(order)
    done: Counter[str] = Counter()
    for name in order:
        await asyncio.sleep(rng.uniform(*_PAUSES))
        await kill(name)
        done[name] += 1
    return done


async def until(check: Callable[[], Awaitable[bool]], seconds: float) -> bool:
    """Whether a condition comes true in time."""
    clock = asyncio.get_running_loop().time
    ends = clock() + seconds
    while clock() < ends:
        if await check():
            return True
        await asyncio.sleep(0.3)
    return False
