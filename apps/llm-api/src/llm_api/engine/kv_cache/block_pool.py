"""Which blocks of the KV cache are whose, and which still hold a prefix that another prompt may share."""

from collections import OrderedDict
from collections.abc import Iterable
from hashlib import blake2b

import numpy as np

BlockHash = bytes


def hash_block(parent: BlockHash, token_ids: list[int]) -> BlockHash:
    """A block's identity is all tokens up to its end. Not Python's hash(): a client must not be able to make two meet."""
    return blake2b(parent + np.asarray(token_ids, np.int32).tobytes(), digest_size=16).digest()


class BlockPool:
    """Hands out blocks by number, counts their users, and keeps the contents of free ones until they are needed.

    Free blocks wait in the order in which they were freed; the oldest is taken first and only then forgets its hash.
    """

    def __init__(self, num_blocks: int) -> None:
        self.num_blocks = num_blocks
        self._users = [0] * num_blocks
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
        """`count` blocks of undefined content. The caller has checked `num_free`."""
        blocks = [self._free.popitem(last=False)[0] for _ in range(count)]
        for block in blocks:
            self._users[block] = 1
            self._forget(block)
        return blocks

    def find(self, block_hash: BlockHash) -> int | None:
        return self._by_hash.get(block_hash)

    def share(self, block: int) -> None:
        """One more user of a block that `find` gave."""
        if self._users[block] == 0:
            del self._free[block]
        self._users[block] += 1

    def is_free(self, block: int) -> bool:
        return self._users[block] == 0

    def remember(self, block: int, block_hash: BlockHash) -> None:
        """The block is full and will not change. When two hold the same tokens, the first stays the one that is found."""
        if block_hash not in self._by_hash and block not in self._hashes:
            self._by_hash[block_hash] = block
            self._hashes[block] = block_hash

    def release(self, blocks: Iterable[int]) -> None:
        """Ends one use of each. Give a sequence's last block first: the start of a prompt is what others share."""
        for block in blocks:
            self._users[block] -= 1
            if self._users[block] == 0:
                self._free[block] = None

    def forget(self, blocks: Iterable[int]) -> None:
        """Nobody will find the contents of these again."""
        for block in blocks:
            self._forget(block)

    def _forget(self, block: int) -> None:
        block_hash = self._hashes.pop(block, None)
        if block_hash is not None:
            del self._by_hash[block_hash]
