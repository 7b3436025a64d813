"""The engine's own last check: nothing that gets past it can break a step."""

from llm_api.engine.executor import Executor
from llm_api.engine.messages import AddRequest


def problem_with(request: AddRequest, executor: Executor) -> str | None:
    """What is wrong with a request, in one sentence; None when it can be served."""
    prompt, vocabulary = request.prompt_token_ids, executor.model_config.vocab_size
    if not prompt:
        return "The prompt is empty."
    if len(prompt) >= executor.max_model_len:
        return f"The prompt has {len(prompt)} tokens; at most {executor.max_model_len - 1} fit."
    if not (min(prompt) >= 0 and max(prompt) < vocabulary):
        return f"A token id of the prompt is not in 0 to {vocabulary - 1}."
    if not all(0 <= token < vocabulary for token in request.sampling.logit_bias):
        return f"A token id in logit_bias is not in 0 to {vocabulary - 1}."
    if request.n < 1 or request.sampling.max_tokens < 0:
        return "n must be at least 1 and max_tokens at least 0."
    return None
