"""The tokens of a request as vLLM reports them: ids of prompt and completion, log probabilities of the prompt."""

from collections.abc import Sequence

from llm_api.engine.messages import TokenLogprobs
from llm_api.protocol.request import GenerationRequest
from llm_api.protocol.response import PromptLogprob, PromptLogprobs, finite
from llm_api.service.plan import Plan
from llm_api.tokenization.tokenizer import Tokenizer


class TokenDetails:
    def __init__(self, request: GenerationRequest, plan: Plan, tokenizer: Tokenizer) -> None:
        self._returns_ids = bool(request.return_token_ids)
        self._ids_for_text = bool(request.return_tokens_as_token_ids)
        self._top = request.prompt_logprobs
        self._plan = plan
        self._tokenizer = tokenizer

    def text(self, token_id: int) -> str:
        """How logprobs name the token."""
        return f"token_id:{token_id}" if self._ids_for_text else self._tokenizer.token_text(token_id)

    def prompt_token_ids(self, choice: int) -> list[int] | None:
        """None if the request does not ask for token ids."""
        return self._prompt(choice) if self._returns_ids else None

    def token_ids(self, token_ids: list[int]) -> list[int] | None:
        return token_ids if self._returns_ids else None

    def prompt_logprobs(self, choice: int, scores: Sequence[TokenLogprobs | None]) -> PromptLogprobs | None:
        """None if the request does not ask for them. `scores`: of the prompt of this choice."""
        if self._top is None:
            return None
        return [self._scored(token_id, score, self._top) for token_id, score in zip(self._prompt(choice), scores, strict=True)]

    def _scored(self, token_id: int, score: TokenLogprobs | None, top: int) -> dict[str, PromptLogprob] | None:
        if score is None:
            return None
        ranked = {token_id: (score.rank, score.logprob)}
        for rank, (other, logprob) in enumerate(score.top[:top], 1):
            ranked.setdefault(other, (rank, logprob))
        return {
            str(token): PromptLogprob(logprob=finite(logprob), rank=rank, decoded_token=self._tokenizer.token_text(token))
            for token, (rank, logprob) in ranked.items()
        }

    def _prompt(self, choice: int) -> list[int]:
        return self._plan.prompts[choice // self._plan.n].token_ids
