"""The inputs that wait. Batches have inputs of similar length, and take from all requests in turn."""

from dataclasses import dataclass, field

from llm_api.embedding.messages import EmbedInputs


@dataclass(slots=True)
class _Waiting:
    """`left`: indexes of inputs that are not computed yet, the shortest last."""

    request: EmbedInputs
    left: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class BatchedInput:
    request_id: int
    index: int
    token_ids: list[int]


class InputQueue:
    def __init__(self, max_tokens: int) -> None:
        """`max_tokens`: of a batch, padding included. An input that is longer is a batch of its own."""
        self._max_tokens = max_tokens
        self._requests: dict[int, _Waiting] = {}

    def __bool__(self) -> bool:
        return bool(self._requests)

    def add(self, request: EmbedInputs) -> None:
        order = sorted(range(len(request.inputs)), key=lambda index: len(request.inputs[index]), reverse=True)
        self._requests[request.request_id] = _Waiting(request, order)

    def drop(self, request_id: int) -> None:
        self._requests.pop(request_id, None)

    def next_batch(self) -> list[BatchedInput]:
        """One input of each request in turn, while they fit. A request that waits is therefore in every batch until it is done."""
        batch: list[BatchedInput] = []
        longest, turn = 0, list(self._requests.values())
        while turn:
            waiting = turn.pop(0)
            index = waiting.left[-1]
            token_ids = waiting.request.inputs[index]
            longest = max(longest, len(token_ids))
            if batch and longest * (len(batch) + 1) > self._max_tokens:
                break
            waiting.left.pop()
            batch.append(BatchedInput(waiting.request.request_id, index, token_ids))
            if waiting.left:
                turn.append(waiting)
            else:
                del self._requests[waiting.request.request_id]
        self._rotate()
        return batch

    def _rotate(self) -> None:
        """The next batch begins with another request: a batch may be too small for all of them."""
        if self._requests:
            first = next(iter(self._requests))
            self._requests[first] = self._requests.pop(first)
