"""How the forward method of a transformers model is called: families differ in the arguments that they take."""

import inspect

from transformers import PreTrainedModel

PROBE = (0, 0, 0)  # token ids of a run that finds out shapes; every vocabulary has them


def named_arguments(model: PreTrainedModel) -> frozenset[str]:
    """Those that `forward` names. One that it only takes by **kwargs may be ignored without an error."""
    return frozenset(inspect.signature(model.forward).parameters)


def may_accept(model: PreTrainedModel, name: str) -> bool:
    """Whether `forward` names the argument or has **kwargs. A trial then shows whether it is ignored."""
    parameters = inspect.signature(model.forward).parameters
    return name in parameters or any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())
