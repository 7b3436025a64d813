"""Allocates KV cache blocks to sequences and finds their cached prefixes."""

from llm_api.engine.kv_cache.block_pool import BlockPool, hash_block
from llm_api.engine.sequence import Sequence


class KVCacheManager:
    def __init__(self, num_blocks: int, block_size: int, enable_prefix_caching: bool) -> None:
        self.pool = BlockPool(num_blocks)
        self.block_size = block_size
        self.queries = 0  # prompt tokens looked up in the prefix cache
        self.hits = 0  # prompt tokens found in it
        self._prefix_caching = enable_prefix_caching

    def admit(self, sequence: Sequence) -> bool:
        """Gives the sequence the cached blocks that hold its prefix.

        Returns False and changes nothing when the whole sequence does not fit now: admitting it would only cause preemptions.
        """
        shared = self._find_prefix(sequence)
        shared_and_free = sum(self.pool.is_free(block) for block in shared)
        if self._blocks_for(len(sequence.token_ids)) - len(shared) > self.pool.num_free - shared_and_free:
            return False
        for block in shared:
            self.pool.share(block)
        sequence.block_ids = shared
        sequence.num_computed = len(shared) * self.block_size
        if sequence.cached_tokens is None:
            sequence.cached_tokens = sequence.num_computed
            self.queries += sequence.num_prompt
            self.hits += sequence.num_computed
        return True

    def extend(self, sequence: Sequence, num_tokens: int) -> bool:
        """Allocates blocks for the sequence's first `num_tokens` tokens. Returns False and changes nothing when too few are free."""
        missing = self._blocks_for(num_tokens) - len(sequence.block_ids)
        if missing > self.pool.num_free:
            return False
        if missing > 0:
            sequence.block_ids += self.pool.allocate(missing)
        return True

    def register_full_blocks(self, sequence: Sequence, num_computed_before: int) -> None:
        """Adds the blocks that this step has filled to the prefix cache."""
        if not self._prefix_caching:
            return
        filled = range(num_computed_before // self.block_size, sequence.num_computed // self.block_size)
        self._hash_blocks(sequence, filled.stop)
        for position in filled:
            self.pool.register(sequence.block_ids[position], sequence.block_hashes[position])

    def free(self, sequence: Sequence, *, discard: bool = False) -> None:
        """Frees the sequence's blocks. `discard`: their contents leave the prefix cache."""
        if discard:
            self.pool.unregister(sequence.block_ids)
        self.pool.release(reversed(sequence.block_ids))
        sequence.block_ids = []
        sequence.num_computed = 0

    def _find_prefix(self, sequence: Sequence) -> list[int]:
        # At least one token must be computed: the next one is sampled from its logits.
        # Prompt logprobs need the logits of all prompt tokens.
        if not self._prefix_caching or sequence.wants_prompt_logprobs:
            return []
        num_blocks = (len(sequence.token_ids) - 1) // self.block_size
        self._hash_blocks(sequence, num_blocks)
        found: list[int] = []
        for block_hash in sequence.block_hashes[:num_blocks]:
            block = self.pool.find(block_hash)
            if block is None:
                break
            found.append(block)
        return found

    def _hash_blocks(self, sequence: Sequence, num_blocks: int) -> None:
        hashes, size = sequence.block_hashes, self.block_size
        for position in range(len(hashes), num_blocks):
            tokens = sequence.token_ids[position * size : (position + 1) * size]
            hashes.append(hash_block(hashes[-1] if hashes else b"", tokens))

    def _blocks_for(self, num_tokens: int) -> int:
        return -(-num_tokens // self.block_size)
