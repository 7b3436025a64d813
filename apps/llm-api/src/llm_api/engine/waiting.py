"""The sequences that wait to run: which one is next."""

from bisect import insort
from collections import Counter
from collections.abc import Iterable, Iterator

from llm_api.engine.sequence import Sequence


class WaitingQueue:
    """Tenants get equal shares: next is the tenant with the fewest running sequences, and among equals the one served longest ago.

    A tenant's own sequences are in order of priority, then of arrival. So no tenant gets before another one by its priorities, nor by
    the number of its requests. A preempted sequence keeps its place.
    """

    def __init__(self) -> None:
        self._of_tenants: dict[str, list[Sequence]] = {}  # none is empty
        self._served: dict[str, int] = {}  # the turn in which a tenant was last served; only of tenants that wait
        self._turn = 0

    def __len__(self) -> int:
        return sum(map(len, self._of_tenants.values()))

    def __iter__(self) -> Iterator[Sequence]:
        for own in self._of_tenants.values():
            yield from own

    def __contains__(self, sequence: Sequence) -> bool:
        return sequence in self._of_tenants.get(sequence.tenant, ())

    def add(self, sequence: Sequence) -> None:
        insort(self._of_tenants.setdefault(sequence.tenant, []), sequence, key=_place)

    def remove(self, sequence: Sequence) -> None:
        own = self._of_tenants[sequence.tenant]
        own.remove(sequence)
        if not own:
            del self._of_tenants[sequence.tenant]
            self._served.pop(sequence.tenant, None)

    def next(self, running: Iterable[Sequence]) -> Sequence:
        """The first in line. The queue is not empty."""
        shares = Counter(sequence.tenant for sequence in running)
        heads = [own[0] for own in self._of_tenants.values()]
        return min(heads, key=lambda head: (shares[head.tenant], self._served.get(head.tenant, 0), head.arrival))

    def serve(self, sequence: Sequence) -> None:
        """Removes a sequence that begins to run."""
        self._turn += 1
        self._served[sequence.tenant] = self._turn
        self.remove(sequence)


def _place(sequence: Sequence) -> tuple[int, int, int]:
    return sequence.priority, sequence.arrival, sequence.index


def least_urgent(running: list[Sequence]) -> Sequence:
    """Which sequence to preempt: of the tenant that was admitted last, the one of the lowest priority, and among equals the youngest.

    `running`: in order of admission, not empty.
    """
    own = [sequence for sequence in running if sequence.tenant == running[-1].tenant]
    return max(reversed(own), key=lambda sequence: sequence.priority)
