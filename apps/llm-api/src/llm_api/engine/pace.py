"""How long a step takes, and how many tokens the next one may have."""

from math import inf

WEIGHT_OF_LAST = 0.5


class StepPace:
    """Keeps steps near `target` seconds; 0: no limit.

    It learns seconds per token from the steps that prefill. A step has a fixed cost, too, so tokens are dearer in a short
    step: from step to step the budget moves towards the count whose step takes just the target, and follows it when a longer
    context or a busy machine makes tokens slower.
    """

    def __init__(self, target: float) -> None:
        self._target = target
        self._seconds_per_token: float | None = None

    def record(self, tokens: int, seconds: float) -> None:
        """A step that prefilled has computed `tokens`, decode included, in `seconds`."""
        latest = seconds / tokens
        known = latest if self._seconds_per_token is None else self._seconds_per_token
        self._seconds_per_token = WEIGHT_OF_LAST * latest + (1 - WEIGHT_OF_LAST) * known

    @property
    def budget(self) -> float:
        """Tokens of a step that takes the target; infinite without a target, or before anything is known."""
        if not self._target or not self._seconds_per_token:
            return inf
        return self._target / self._seconds_per_token
