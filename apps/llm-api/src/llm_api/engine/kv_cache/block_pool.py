"""Reference counts of the KV cache's blocks, and the prefix cache: full blocks that other sequences can share."""

from collections import OrderedDict
from collections.abc import Iterable
from hashlib import blake2b

import numpy as np

BlockHash = bytes


def hash_block(parent: BlockHash, token_ids: list[int]) -> BlockHash:
    """Identifies a block by all tokens up to its end. A cryptographic hash, so that clients cannot produce collisions."""
    return blake2b(parent + np.asarray(token_ids, np.int32).tobytes(), digest_size=16).digest()


class BlockPool:
    """Allocates blocks by number and counts their references. Free blocks keep their contents until they are allocated again.

    Free blocks are reused in the order in which they were freed. A block leaves the prefix cache when it is reused.
    """

    def __init__(self, num_blocks: int) -> None:
        self.num_blocks = num_blocks
        self._references = [0] * num_blocks
        self._free: OrderedDict[int, None] = OrderedDict.fromkeys(range(num_blocks))
        self._by_hash: dict[BlockHash, int] = {}
        self._hashes: dict[int, BlockHash] = {}

    @property
    def num_free(self) -> int:
        return len(self._free)

    @property
    def usage(self) -> float:
        return 1 - len(self._free) / self.num_blocks

    def allocate(self, count: int) -> list[int]:
        """`count` blocks with undefined contents. The caller checks `num_free` first."""
        blocks = [self._free.popitem(last=False)[0] for _ in range(count)]
        for block in blocks:
            self._references[block] = 1
            self._unregister(block)
        return blocks

    def find(self, block_hash: BlockHash) -> int | None:
        return self._by_hash.get(block_hash)

    def share(self, block: int) -> None:
        """Adds a reference to a block that `find` returned."""
        if self._references[block] == 0:
            del self._free[block]
        self._references[block] += 1

    def is_free(self, block: int) -> bool:
        return self._references[block] == 0

    def register(self, block: int, block_hash: BlockHash) -> None:
        """Adds a full block to the prefix cache. If another block with the same tokens is there, that one stays."""
        if block_hash not in self._by_hash and block not in self._hashes:
            self._by_hash[block_hash] = block
            self._hashes[block] = block_hash

    def release(self, blocks: Iterable[int]) -> None:
        """Removes one reference from each. Pass a sequence's last block first: it is reused first, and prefixes stay longest."""
        for block in blocks:
            self._references[block] -= 1
            if self._references[block] == 0:
                self._free[block] = None

    def unregister(self, blocks: Iterable[int]) -> None:
        """Removes these blocks from the prefix cache."""
        for block in blocks:
            self._unregister(block)

    def _unregister(self, block: int) -> None:
        block_hash = self._hashes.pop(block, None)
        if block_hash is not None:
            del self._by_hash[block_hash]
