"""Decides what the next step computes: decodes first, then prompts in chunks, within a budget of tokens.

Every decoding sequence waits for the whole step before it gets its next token. While sequences decode, the budget therefore also
limits the duration of a step.
"""

from math import inf

from llguidance import LLMatcher

from llm_api.engine.grammar.state import GrammarState
from llm_api.engine.kv_cache.manager import KVCacheManager
from llm_api.engine.messages import AddRequest
from llm_api.engine.sequence import Chunk, Sequence, SequenceStatus
from llm_api.engine.waiting import WaitingQueue, least_urgent

SMALLEST_CHUNK = 16  # prompt tokens per step that are computed however slow a step is, so that prompts always progress
LATEST_STEP_WEIGHT = 0.5


class Scheduler:
    """In the order of `WaitingQueue`. When the cache is full, `least_urgent` frees its blocks and is recomputed later."""

    def __init__(
        self, cache: KVCacheManager, max_num_seqs: int, max_num_batched_tokens: int, pace: "StepPace", eos_token_ids: frozenset[int]
    ) -> None:
        self.cache = cache
        self.waiting = WaitingQueue()
        self.running: list[Sequence] = []  # in order of admission
        self.preemptions = 0
        self._max_num_seqs = max_num_seqs
        self._max_num_batched_tokens = max_num_batched_tokens
        self._pace = pace
        self._eos_token_ids = eos_token_ids
        self._siblings: dict[str, list[Sequence]] = {}
        self._arrivals = 0

    @property
    def has_work(self) -> bool:
        return bool(self.waiting or self.running)

    @property
    def num_waiting(self) -> int:
        return len(self.waiting) + sum(map(len, self._siblings.values()))

    def add(self, request: AddRequest, matcher: LLMatcher | None = None) -> None:
        """The first sequence prefills the prompt. Its siblings wait for that and then find the prompt in the prefix cache.

        `matcher`: at the beginning of the request's grammar.
        """
        self._arrivals += 1
        first, *siblings = (self._sequence(request, index, matcher) for index in range(request.n))
        self.waiting.add(first)
        if siblings:
            self._siblings[request.request_id] = siblings

    def _sequence(self, request: AddRequest, index: int, matcher: LLMatcher | None) -> Sequence:
        sequence = Sequence(request, index, self._eos_token_ids, GrammarState(matcher.deep_copy()) if matcher else None)
        sequence.arrival = self._arrivals
        return sequence

    def cancel(self, request_id: str, index: int | None) -> None:
        for sequence in self._of_request(request_id):
            if index is None or sequence.index == index:
                self.remove(sequence)
        if index is None:
            self._siblings.pop(request_id, None)

    def remove(self, sequence: Sequence, *, discard: bool = False) -> None:
        """Ends a sequence in any state and frees its blocks. `discard`: their contents leave the prefix cache."""
        if sequence in self.running:
            self.running.remove(sequence)
        elif sequence in self.waiting:
            self.waiting.remove(sequence)
        elif sequence in (siblings := self._siblings.get(sequence.request_id, [])):
            siblings.remove(sequence)
        sequence.status = SequenceStatus.FINISHED
        self.cache.free(sequence, discard=discard)
        self._release_siblings(sequence)

    def schedule(self) -> list[Chunk]:
        """The chunks of the next step, decodes first. Empty only if there is no work."""
        plan = StepPlan(self._budget())
        # After a preemption nothing is admitted: it would be preempted in turn.
        if not self._schedule_running(plan):
            self._schedule_waiting(plan)
        return list(plan.chunks.values())

    def computed(self, chunk: Chunk) -> None:
        """Records that a step has computed this chunk."""
        sequence = chunk.sequence
        sequence.num_computed = chunk.end
        self.cache.register_full_blocks(sequence, chunk.start)
        if chunk.completes:
            self._release_siblings(sequence)

    def _budget(self) -> int:
        """Tokens of the next step, enough for every decoding sequence."""
        decoding = sum(sequence.is_decoding for sequence in self.running)
        if not decoding:
            return self._max_num_batched_tokens
        return int(min(max(self._pace.budget, decoding + SMALLEST_CHUNK), self._max_num_batched_tokens))

    def _schedule_running(self, plan: "StepPlan") -> bool:
        """Returns whether it had to preempt."""
        preemptions = self.preemptions
        for sequence in sorted(self.running, key=lambda s: not s.is_decoding):
            length = min(sequence.remaining, plan.left)
            if length > 0 and sequence.status is SequenceStatus.RUNNING and self._make_room(sequence, length, plan):
                plan.add(sequence, length)
        return self.preemptions > preemptions

    def _make_room(self, sequence: Sequence, length: int, plan: "StepPlan") -> bool:
        while not self.cache.extend(sequence, sequence.num_computed + length):
            victim = least_urgent(self.running)
            self._preempt(victim)
            plan.drop(victim)
            if victim is sequence:
                return False
        return True

    def _schedule_waiting(self, plan: "StepPlan") -> None:
        while self.waiting and len(self.running) < self._max_num_seqs and plan.left:
            sequence = self.waiting.next(self.running)
            if not self.cache.admit(sequence):
                break
            self.waiting.serve(sequence)
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
        self.waiting.add(sequence)

    def _release_siblings(self, first: Sequence) -> None:
        if first.index == 0:
            for sibling in self._siblings.pop(first.request_id, []):
                self.waiting.add(sibling)

    def _of_request(self, request_id: str) -> list[Sequence]:
        sequences = [*self.running, *self.waiting, *self._siblings.get(request_id, [])]
        return [sequence for sequence in sequences if sequence.request_id == request_id]


class StepPlan:
    """The step being scheduled: one chunk per sequence, within the budget."""

    def __init__(self, budget: int) -> None:
        self.left = budget
        self.chunks: dict[Sequence, Chunk] = {}

    def add(self, sequence: Sequence, length: int) -> None:
        self.chunks[sequence] = Chunk(sequence, sequence.num_computed, length)
        self.left -= length

    def drop(self, sequence: Sequence) -> None:
        if chunk := self.chunks.pop(sequence, None):
            self.left += chunk.length


class StepPace:
    """Measures steps and limits the tokens of the next one, so that it takes about `target` seconds; 0: no limit.

    It averages the seconds per token of steps that prefill. A step also has a fixed cost, which makes tokens of short steps look
    slower. From step to step the budget converges to the count whose step takes the target, and it follows when a longer context
    or a busy machine makes tokens slower.
    """

    def __init__(self, target: float) -> None:
        self._target = target
        self._seconds_per_token: float | None = None

    def record(self, tokens: int, seconds: float) -> None:
        """`tokens` and `seconds` of a step that prefilled, its decodes included."""
        latest = seconds / tokens
        average = latest if self._seconds_per_token is None else self._seconds_per_token
        self._seconds_per_token = LATEST_STEP_WEIGHT * latest + (1 - LATEST_STEP_WEIGHT) * average

    @property
    def budget(self) -> float:
        """Tokens of a step that takes the target. Infinite without a target, and before the first step is recorded."""
        if not self._target or not self._seconds_per_token:
            return inf
        return self._target / self._seconds_per_token
