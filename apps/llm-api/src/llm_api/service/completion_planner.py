"""From prompts of texts or token ids to a plan that fits the model. Slow for long texts, so it runs off the event loop."""

from collections.abc import Sequence

from llm_api.engine.messages import EngineInfo
from llm_api.protocol.completions import CompletionRequest
from llm_api.protocol.errors import InvalidRequest
from llm_api.service.context_length import check_text_length, fit_completion
from llm_api.service.plan import Echo, Plan, Prompt
from llm_api.service.sampling import completion_sampling
from llm_api.tokenization.stop_strings import StopPattern
from llm_api.tokenization.tokenizer import Tokenizer


class CompletionPlanner:
    """Raises InvalidRequest for what the model cannot take. Safe to share between threads."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def plan(self, request: CompletionRequest, info: EngineInfo) -> Plan:
        return Plan(
            prompts=[self._prompt(request, given, path, info) for path, given in _by_path(request)],
            sampling=completion_sampling(request, request.token_limit, info.vocab_size),
            n=request.n or 1,
            stops=tuple(map(StopPattern, request.stop_strings)),
            joins_prompt=True,
        )

    def _prompt(self, request: CompletionRequest, given: str | Sequence[int], path: str, info: EngineInfo) -> Prompt:
        if isinstance(given, str):
            check_text_length(self._tokenizer.least_tokens(given), info.max_model_len, path)
            prompt = self._of_text(given, bool(request.echo))
        else:
            _check_vocabulary(given, path, info.vocab_size)
            prompt = self._of_ids(list(given), bool(request.echo))
        if not prompt.token_ids:
            raise InvalidRequest(f"'{path}' is empty: send at least one token.", param=path)
        fit_completion(len(prompt.token_ids), request.token_limit, info.max_model_len, path)
        return prompt

    def _of_text(self, text: str, echo: bool) -> Prompt:
        if not echo:
            return Prompt(self._tokenizer.encode(text, add_special_tokens=True))
        token_ids, offsets = self._tokenizer.encode_with_offsets(text, add_special_tokens=True)
        return Prompt(token_ids, Echo(text, token_ids, offsets))

    def _of_ids(self, token_ids: list[int], echo: bool) -> Prompt:
        if not echo:
            return Prompt(token_ids)
        text, offsets = self._tokenizer.text_with_offsets(token_ids)
        return Prompt(token_ids, Echo(text, token_ids, offsets))


def _by_path(request: CompletionRequest) -> list[tuple[str, str | Sequence[int]]]:
    """Each prompt under its path in the request."""
    prompts: Sequence[str | Sequence[int]] = request.prompts
    if isinstance(request.prompt, str) or isinstance(request.prompt[0], int):
        return [("prompt", prompts[0])]
    return [(f"prompt[{index}]", prompt) for index, prompt in enumerate(prompts)]


def _check_vocabulary(token_ids: Sequence[int], path: str, vocab_size: int) -> None:
    for position, token_id in enumerate(token_ids):
        if token_id >= vocab_size:
            raise InvalidRequest(
                f"Token id {token_id} is outside of the vocabulary: it must be at most {vocab_size - 1}.", param=f"{path}[{position}]"
            )
