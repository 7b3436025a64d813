"""How the forward method of a transformers model is called: families differ in the arguments that they take."""

import inspect

from transformers import PreTrainedModel

PROBE = (0, 0, 0)  # token ids of a run that finds out shapes; every vocabulary has them


def accepted_arguments(model: PreTrainedModel) -> frozenset[str]:
    """Arguments that `forward` names. One that it only takes by **kwargs may be ignored without an error."""
    return frozenset(inspect.signature(model.forward).parameters)
