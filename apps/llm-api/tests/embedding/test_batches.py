from collections import Counter

from llm_api.embedding.batches import InputQueue
from llm_api.embedding.messages import EmbedInputs


def inputs(request_id: int, *lengths: int) -> EmbedInputs:
    return EmbedInputs(request_id=request_id, inputs=[[1] * length for length in lengths])


def test_every_input_is_in_one_batch_that_fits() -> None:
    queue = InputQueue(64)
    queue.add(inputs(1, *range(1, 40)))
    queue.add(inputs(2, 100, 3))
    seen: Counter[tuple[int, int]] = Counter()
    while queue:
        batch = queue.next_batch()
        seen.update((entry.request_id, entry.index) for entry in batch)
        assert len(batch) == 1 or len(batch) * max(len(entry.token_ids) for entry in batch) <= 64
    assert set(seen.values()) == {1}
    assert len(seen) == 41


def test_a_small_request_does_not_wait_for_a_large_one() -> None:
    queue = InputQueue(40)
    queue.add(inputs(1, *[10] * 1000))
    queue.next_batch()
    queue.add(inputs(2, 10))
    assert 2 in [entry.request_id for batch in (queue.next_batch(), queue.next_batch()) for entry in batch]


def test_each_request_gets_its_turn_when_a_batch_is_smaller_than_their_number() -> None:
    queue = InputQueue(20)
    for request_id in range(5):
        queue.add(inputs(request_id, *[10] * 10))
    first = [entry.request_id for _ in range(5) for entry in queue.next_batch()]
    assert set(first) == set(range(5))


def test_a_dropped_request_is_not_computed() -> None:
    queue = InputQueue(40)
    queue.add(inputs(1, *[10] * 100))
    queue.drop(1)
    queue.drop(7)
    assert not queue
