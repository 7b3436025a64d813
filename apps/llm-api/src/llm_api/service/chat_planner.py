"""From a chat to a plan that fits the model. Slow for long texts, so it runs off the event loop."""

from collections.abc import Mapping, Sequence
from typing import Any

from llm_api.chat.plain_text import PlainText
from llm_api.chat.template import ChatTemplate, ChatTemplateError
from llm_api.engine.messages import EngineInfo
from llm_api.protocol.chat import ChatCompletionRequest
from llm_api.protocol.errors import InvalidRequest
from llm_api.service.context_length import check_text_length, fit_completion
from llm_api.service.plan import Plan, Prompt
from llm_api.service.sampling import chat_sampling
from llm_api.tokenization.stop_strings import StopPattern
from llm_api.tokenization.tokenizer import Tokenizer


class ChatPlanner:
    """Raises InvalidRequest for what the model cannot take. Safe to share between threads."""

    def __init__(self, tokenizer: Tokenizer, template: ChatTemplate) -> None:
        self._tokenizer = tokenizer
        self._template = template
        self._plain_text = PlainText(_control_tokens(tokenizer, template), template.prompt)

    def plan(self, request: ChatCompletionRequest, info: EngineInfo) -> Plan:
        token_ids = self._encode(self._render(request), info)
        max_tokens = fit_completion(len(token_ids), request.token_limit, info.max_model_len, "messages")
        return Plan(
            prompts=[Prompt(token_ids)],
            sampling=chat_sampling(request, max_tokens, info.vocab_size),
            n=request.n or 1,
            stops=tuple(map(StopPattern, request.stop_strings)),
            joins_prompt=False,
        )

    def _encode(self, parts: Sequence[str], info: EngineInfo) -> list[int]:
        least_tokens = self._tokenizer.least_tokens("".join(parts))
        check_text_length(max(least_tokens, len(parts) - 1), info.max_model_len, "messages")
        return [token_id for part in self._tokenizer.encode_batch(parts, add_special_tokens=False) for token_id in part]

    def _render(self, request: ChatCompletionRequest) -> list[str]:
        """The prompt, in the parts that are to be encoded apart."""
        messages = [message.model_dump(exclude_none=True) for message in request.messages]
        try:
            parts = self._plain_text.parts(messages)
        except ChatTemplateError as error:
            raise InvalidRequest(str(error), param="messages") from error
        self._check_names_used(messages)
        return parts

    def _check_names_used(self, messages: Sequence[Mapping[str, Any]]) -> None:
        """Most templates do not read `name`: the prompt is the same without. They treat the messages of a role alike."""
        first_named = {message["role"]: position for position, message in reversed(list(enumerate(messages))) if "name" in message}
        text = self._try(messages) if first_named else None
        for role, position in first_named.items():
            if self._try([_nameless(message) if message["role"] == role else message for message in messages]) == text:
                raise InvalidRequest(
                    f"'messages[{position}].name' is not supported: this model's chat template does not use the name in a {role} message;"
                    " leave it out, or write it into the content.",
                    param=f"messages[{position}].name",
                    code="unsupported_parameter",
                )

    def _try(self, messages: Sequence[Mapping[str, Any]]) -> str | None:
        try:
            return self._template.prompt(messages)
        except ChatTemplateError:  # a template that needs names uses them
            return None


def _control_tokens(tokenizer: Tokenizer, template: ChatTemplate) -> set[str]:
    """The special tokens, and the template's own markers: some families do not declare these special, DeepSeek for one."""
    sample = template.sample()
    markers = {token for token in tokenizer.added_tokens if token in sample and not (token[0].isalnum() or token[0].isspace())}
    return markers.union(tokenizer.special_tokens)


def _nameless(message: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in message.items() if key != "name"}
