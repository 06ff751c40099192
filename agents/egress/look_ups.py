"""Look-ups of names in turn: a name server that never answers, which anybody can set up, holds a thread for as long as
the system's resolver has patience, and must not hold those of other tenants."""

import asyncio
import weakref
from collections.abc import Awaitable, Callable

from agents.egress.places import Places

AT_ONCE = 8
"""Of one tenant."""

_places: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Places] = weakref.WeakKeyDictionary()


async def in_turn(tenant: str, look_up: Callable[[], Awaitable[list[str]]]) -> list[str]:
    """What `look_up` finds. Its place is free again when it has ended, not when nobody waits for it any more: a thread
    cannot be stopped."""
    places = _places.setdefault(asyncio.get_running_loop(), Places(AT_ONCE))
    await places.take(tenant)
    looking = asyncio.ensure_future(look_up())
    looking.add_done_callback(lambda _: places.give_back(tenant))
    return await asyncio.shield(looking)
