"""Decides what the next step computes: decode first, then prompts in chunks, within a budget of tokens.

While sequences decode, a step is as long as each of them waits for its next token: the budget then keeps to a time.
"""

from collections import deque
from dataclasses import dataclass

from llm_api.engine.kv_cache.manager import KVCacheManager
from llm_api.engine.messages import AddRequest
from llm_api.engine.pace import StepPace
from llm_api.engine.sequence import Sequence, SequenceStatus

SMALLEST_CHUNK = 16  # of prompts, however slow a step is: they must get on, too


@dataclass(frozen=True, slots=True)
class Chunk:
    """Tokens `start` to `start + length` of a sequence, computed in one step."""

    sequence: Sequence
    start: int
    length: int

    @property
    def end(self) -> int:
        return self.start + self.length

    @property
    def completes(self) -> bool:
        """Whether the step ends with a token to sample."""
        return self.end == len(self.sequence.token_ids)


class StepPlan:
    """One step in the making: a chunk per sequence, within the budget."""

    def __init__(self, budget: int) -> None:
        self.left = budget
        self.chunks: dict[Sequence, Chunk] = {}

    def add(self, sequence: Sequence, length: int) -> None:
        self.chunks[sequence] = Chunk(sequence, sequence.num_computed, length)
        self.left -= length

    def drop(self, sequence: Sequence) -> None:
        if chunk := self.chunks.pop(sequence, None):
            self.left += chunk.length


class Scheduler:
    """First come, first served. When the cache is full the youngest sequence gives its blocks up and is recomputed."""

    def __init__(self, cache: KVCacheManager, max_num_seqs: int, max_num_batched_tokens: int, pace: StepPace) -> None:
        self.cache = cache
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []  # in order of admission
        self.preemptions = 0
        self._max_num_seqs = max_num_seqs
        self._max_num_batched_tokens = max_num_batched_tokens
        self._pace = pace
        self._siblings: dict[str, list[Sequence]] = {}

    @property
    def has_work(self) -> bool:
        return bool(self.waiting or self.running)

    @property
    def num_waiting(self) -> int:
        return len(self.waiting) + sum(map(len, self._siblings.values()))

    def add(self, request: AddRequest) -> None:
        """The first sequence prefills the prompt; its siblings follow and find it in the prefix cache."""
        first, *siblings = (Sequence(request, index) for index in range(request.n))
        self.waiting.append(first)
        if siblings:
            self._siblings[request.request_id] = siblings

    def cancel(self, request_id: str, index: int | None) -> None:
        for sequence in self._of_request(request_id):
            if index is None or sequence.index == index:
                self.remove(sequence)
        if index is None:
            self._siblings.pop(request_id, None)

    def remove(self, sequence: Sequence, *, forget: bool = False) -> None:
        """Ends a sequence, wherever it is, and frees its blocks."""
        if sequence in self.running:
            self.running.remove(sequence)
        elif sequence in self.waiting:
            self.waiting.remove(sequence)
        elif sequence in (siblings := self._siblings.get(sequence.request_id, [])):
            siblings.remove(sequence)
        sequence.status = SequenceStatus.FINISHED
        self.cache.free(sequence, forget=forget)
        self._release_siblings(sequence)

    def schedule(self) -> list[Chunk]:
        """The next step's work, decoding sequences first. Empty only when there is none."""
        plan = StepPlan(self._budget())
        # What was just preempted would only be preempted again.
        if not self._schedule_running(plan):
            self._schedule_waiting(plan)
        return list(plan.chunks.values())

    def computed(self, chunk: Chunk) -> None:
        """Records that a step has computed this chunk."""
        sequence = chunk.sequence
        sequence.num_computed = chunk.end
        self.cache.share_computed(sequence, chunk.start)
        if chunk.completes:
            self._release_siblings(sequence)

    def _budget(self) -> int:
        """Tokens of the next step. All that decode are in it."""
        decoding = sum(sequence.is_decoding for sequence in self.running)
        if not decoding:
            return self._max_num_batched_tokens
        return int(min(max(self._pace.budget, decoding + SMALLEST_CHUNK), self._max_num_batched_tokens))

    def _schedule_running(self, plan: StepPlan) -> bool:
        """Returns whether it had to preempt."""
        preemptions = self.preemptions
        for sequence in sorted(self.running, key=lambda s: not s.is_decoding):
            length = min(sequence.remaining, plan.left)
            if length > 0 and sequence.status is SequenceStatus.RUNNING and self._make_room(sequence, length, plan):
                plan.add(sequence, length)
        return self.preemptions > preemptions

    def _make_room(self, sequence: Sequence, length: int, plan: StepPlan) -> bool:
        while not self.cache.extend(sequence, sequence.num_computed + length):
            victim = self.running[-1]
            self._preempt(victim)
            plan.drop(victim)
            if victim is sequence:
                return False
        return True

    def _schedule_waiting(self, plan: StepPlan) -> None:
        while self.waiting and len(self.running) < self._max_num_seqs and plan.left:
            sequence = self.waiting[0]
            if not self.cache.admit(sequence):
                break
            self.waiting.popleft()
            sequence.status = SequenceStatus.RUNNING
            self.running.append(sequence)
            length = min(sequence.remaining, plan.left)
            self.cache.extend(sequence, sequence.num_computed + length)
            plan.add(sequence, length)

    def _preempt(self, sequence: Sequence) -> None:
        self.preemptions += 1
        self.running.remove(sequence)
        self.cache.free(sequence)
        sequence.status = SequenceStatus.WAITING
        self.waiting.appendleft(sequence)

    def _release_siblings(self, leader: Sequence) -> None:
        if leader.index == 0:
            self.waiting.extendleft(reversed(self._siblings.pop(leader.request_id, [])))

    def _of_request(self, request_id: str) -> list[Sequence]:
        everyone = [*self.running, *self.waiting, *self._siblings.get(request_id, [])]
        return [sequence for sequence in everyone if sequence.request_id == request_id]
