"""The seam for constrained output: what a grammar has to offer the sampler."""

from typing import Protocol

from torch import Tensor


class TokenConstraint(Protocol):
    """Follows one sequence. The sampler asks before each token and tells what it chose."""

    def forbid(self, logits: Tensor) -> None:
        """Sets the logits (float32, [vocabulary]) of tokens that may not come next to -inf, in place."""
        ...

    def accept(self, token_id: int) -> None: ...
