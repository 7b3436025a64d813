"""Text completions: from prompts to a plan that fits the model, and from deltas to chunks or the whole answer."""

from collections.abc import Iterator, Sequence

from llm_api.engine.messages import EngineInfo
from llm_api.protocol.completions import Completion, CompletionChoice, CompletionRequest, Logprobs
from llm_api.protocol.errors import InvalidRequest
from llm_api.protocol.response import Usage, finite
from llm_api.service.answer import Envelope, WholeChoice
from llm_api.service.answer_forms import AnswerForm
from llm_api.service.choice import ChoiceDelta, ScoredToken
from llm_api.service.fill_in_the_middle import FillInTheMiddle
from llm_api.service.plan import Echo, Plan, Prompt, check_text_length, check_token_ids, check_vocabulary, fit_completion, kept_prompt
from llm_api.service.sampling import completion_sampling
from llm_api.service.token_details import TokenDetails
from llm_api.settings import RequestFields
from llm_api.tokenization.stop_strings import StopPattern
from llm_api.tokenization.tokenizer import Tokenizer


class CompletionPlanner:
    """Encodes prompts. Slow for long texts, so it runs off the event loop; threads may share it.

    Raises InvalidRequest if the model cannot take the request.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._middle = FillInTheMiddle(tokenizer)

    def plan(self, request: CompletionRequest, info: EngineInfo, form: AnswerForm | None = None, fields: RequestFields = "warn") -> Plan:
        """`form`: that each completion is held to."""
        prompts = [self._prompt(request, given, path, info, fields) for path, given in _by_path(request)]
        longest = max(len(prompt.token_ids) for prompt in prompts)
        return Plan(
            prompts=prompts,
            sampling=completion_sampling(request, request.token_limit, self._tokenizer, info.vocab_size, form.grammar() if form else None),
            n=request.generated,
            stops=tuple(map(StopPattern, request.stop_strings)),
            joins_prompt=True,
            kept_token_ids=frozenset(self._tokenizer.special_token_ids.values() if request.skip_special_tokens is False else ()),
            keeps_stops=bool(request.include_stop_str_in_output),
            priority=request.priority or 0,
            returns_token_ids=bool(request.return_token_ids),
            ignored_fields=("max_tokens",) if longest + request.token_limit > info.max_model_len else (),
        )

    def _prompt(self, request: CompletionRequest, given: str | Sequence[int], path: str, info: EngineInfo, fields: RequestFields) -> Prompt:
        cuts = request.truncate_prompt_tokens is not None
        if isinstance(given, str):
            if not cuts:
                check_text_length(self._tokenizer.least_tokens(given), info.max_model_len, path)
            prompt = self._of_text(given, bool(request.echo), request.add_special_tokens is not False and not request.suffix)
            check_vocabulary(prompt.token_ids, self._tokenizer, info.vocab_size, path)
        else:
            check_token_ids(given, path, info.vocab_size)
            prompt = self._of_ids(list(given), bool(request.echo))
        if request.suffix:
            prompt = self._middle_prompt(prompt.token_ids, request.suffix, request.add_special_tokens is not False, info)
        if not prompt.token_ids:
            raise InvalidRequest(f"'{path}' is empty: send at least one token.", param=path)
        kept = kept_prompt(prompt.token_ids, request.token_limit, request.truncate_prompt_tokens, info.max_model_len)
        fit_completion(len(kept), request.token_limit, info.max_model_len, path, cut=fields != "strict")
        return prompt.last(len(kept))

    def _middle_prompt(self, before: list[int], after: str, add_special_tokens: bool, info: EngineInfo) -> Prompt:
        check_text_length(self._tokenizer.least_tokens(after), info.max_model_len, "suffix")
        token_ids = self._middle.prompt(before, after, add_special_tokens)
        check_vocabulary(token_ids, self._tokenizer, info.vocab_size, "suffix")
        return Prompt(token_ids)

    def _of_text(self, text: str, echo: bool, add_special_tokens: bool) -> Prompt:
        if not echo:
            return Prompt(self._tokenizer.encode(text, add_special_tokens))
        token_ids, offsets = self._tokenizer.encode_with_offsets(text, add_special_tokens)
        return Prompt(token_ids, Echo(text, token_ids, offsets))

    def _of_ids(self, token_ids: list[int], echo: bool) -> Prompt:
        if not echo:
            return Prompt(token_ids)
        text, offsets = self._tokenizer.text_with_offsets(token_ids)
        return Prompt(token_ids, Echo(text, token_ids, offsets))


class CompletionAssembly:
    def __init__(self, envelope: Envelope, details: TokenDetails, request: CompletionRequest) -> None:
        self._envelope = envelope
        self._details = details
        self._logprobs = request.logprobs
        self._echoes = bool(request.echo)
        self._returned = request.n or 1
        self._generated = request.generated
        self._begun: set[int] = set()

    def chunks(self, delta: ChoiceDelta) -> Iterator[Completion]:
        choice = self._choice(delta)
        if delta.index not in self._begun:
            self._begun.add(delta.index)
            choice.prompt_token_ids = self._details.prompt_token_ids(delta.index)
        yield Completion(choices=[choice], **self._envelope)

    def usage_chunk(self, usage: Usage) -> Completion:
        return Completion(choices=[], usage=usage, **self._envelope)

    def whole(self, choices: Sequence[WholeChoice], usage: Usage) -> Completion:
        best = [self._whole_choice(choice) for choice in self._best(choices)]
        for index, choice in enumerate(best):
            choice.index = index
        return Completion(choices=best, usage=usage, **self._envelope)

    def _best(self, choices: Sequence[WholeChoice]) -> list[WholeChoice]:
        """The most likely choices of each prompt, as many as the request asks for."""
        if self._returned == self._generated:
            return list(choices)
        of_prompts = [choices[start : start + self._generated] for start in range(0, len(choices), self._generated)]
        return [choice for own in of_prompts for choice in sorted(own, key=self._mean_logprob, reverse=True)[: self._returned]]

    def _mean_logprob(self, choice: WholeChoice) -> float:
        """Per token of the completion, without an echoed prompt."""
        start = len(choice.prompt_logprobs) if self._echoes else 0
        own = [token.logprobs.logprob for token in choice.tokens[start:] if token.logprobs]
        return sum(own) / max(len(own), 1)

    def _whole_choice(self, whole: WholeChoice) -> CompletionChoice:
        choice = self._choice(whole)
        choice.prompt_token_ids = self._details.prompt_token_ids(whole.index)
        choice.prompt_logprobs = self._details.prompt_logprobs(whole.index, whole.prompt_logprobs)
        return choice

    def _choice(self, choice: ChoiceDelta | WholeChoice) -> CompletionChoice:
        scored = self._logprobs is not None and (choice.tokens or isinstance(choice, WholeChoice))
        return CompletionChoice(
            index=choice.index,
            text=choice.text,
            logprobs=_logprobs(choice.tokens, self._logprobs or 0, self._details) if scored else None,
            finish_reason=choice.finish_reason,
            token_ids=self._details.token_ids(choice.token_ids),
        )


def _logprobs(tokens: Sequence[ScoredToken], top: int, details: TokenDetails) -> Logprobs:
    """Returns parallel lists with one item for each token. `top`: number of alternatives requested; 0 lists none."""
    return Logprobs(
        tokens=[details.text(token.token_id) for token in tokens],
        token_logprobs=[finite(token.logprobs.logprob) if token.logprobs else None for token in tokens],
        top_logprobs=[_alternatives(token, top, details) for token in tokens] if top else None,
        text_offset=[token.offset for token in tokens],
    )


def _alternatives(token: ScoredToken, top: int, details: TokenDetails) -> dict[str, float] | None:
    """Returns the most likely tokens, and the chosen token if it is not among them."""
    if token.logprobs is None:
        return None
    alternatives = {details.text(other): finite(logprob) for other, logprob in reversed(token.logprobs.top[:top])}
    alternatives.setdefault(details.text(token.token_id), finite(token.logprobs.logprob))
    return alternatives


def _by_path(request: CompletionRequest) -> list[tuple[str, str | Sequence[int]]]:
    """Returns each prompt with its path in the request."""
    prompts: Sequence[str | Sequence[int]] = request.prompts
    if isinstance(request.prompt, str) or isinstance(request.prompt[0], int):
        return [("prompt", prompts[0])]
    return [(f"prompt[{index}]", prompt) for index, prompt in enumerate(prompts)]
