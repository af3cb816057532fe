"""What one tenant may have of a notifier's places, so that however many slow addresses he has, others find one free.

He may have three times as many as are free: three quarters of them while he is alone, less the more others need. Nothing is set aside by
name, and whoever has none yet finds one. Lanes whose messages came when their tenant had all that he may have are remembered here, not in
those messages, which would take up the very places that are to be free. They take turns in what the ends of his attempts leave; where no
attempt of his is left to end, none of them stays here.
"""

from collections import Counter

_TIMES_THE_FREE = 3


class Shares:
    """Of `places`, in this process; a lane has up to `width` of them."""

    def __init__(self, *, places: int, width: int) -> None:
        self._places = places
        self._width = width
        self._held: Counter[str] = Counter()
        self._waiting: dict[str, dict[str, None]] = {}

    def room(self, tenant: str) -> int:
        """How many more the tenant may take."""
        return max(self._most(tenant) - self._held[tenant], 0)

    def take(self, tenant: str) -> None:
        self._held[tenant] += 1

    def leave(self, tenant: str) -> None:
        self._held[tenant] -= 1
        if not self._held[tenant]:
            del self._held[tenant]

    def hold_back(self, tenant: str, lane: str) -> None:
        """There was no room for all that came for it."""
        self._waiting.setdefault(tenant, {})[lane] = None

    def next_in_turn(self, tenant: str) -> str | None:
        """The lane that has waited for longest; behind all others from now on, as it may want more than one place."""
        waiting = self._waiting.get(tenant)
        if not waiting:
            return None
        lane = next(iter(waiting))
        del waiting[lane]
        waiting[lane] = None
        return lane

    def forget(self, tenant: str, lane: str) -> None:
        """Nothing is due in it."""
        waiting = self._waiting.get(tenant, {})
        waiting.pop(lane, None)
        if not waiting:
            self._waiting.pop(tenant, None)

    def bring_back(self, tenant: str, *, every: bool = False) -> list[str]:
        """The lanes for all whose places there is room, which wait no more; or `every` one that does, as when the tenant has no place left.

        None before a quarter of what the tenant may have is idle: what is brought takes no place until its messages have come, and each
        place that is left is passed on by itself. The last one is not: the message that passes it on may come to another notifier.
        """
        waiting, room, most = self._waiting.get(tenant, {}), self.room(tenant), self._most(tenant)
        count = 0 if 4 * room < most else room // min(self._width, most)
        lanes = list(waiting)[: len(waiting) if every or not self._held[tenant] else count]
        for lane in lanes:
            self.forget(tenant, lane)
        return lanes

    def _most(self, tenant: str) -> int:
        others = self._held.total() - self._held[tenant]
        return max(_TIMES_THE_FREE * (self._places - others) // (_TIMES_THE_FREE + 1), 1)
