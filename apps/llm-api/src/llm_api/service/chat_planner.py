"""From a chat to a plan that fits the model. Slow for long texts, so it runs off the event loop."""

from collections.abc import Mapping, Sequence
from typing import Any

from llm_api.chat.errors import ChatTemplateError
from llm_api.chat.plain_text import PlainText
from llm_api.chat.template import ChatTemplate
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
        self._plain_text = PlainText(tokenizer.special_tokens)

    def plan(self, request: ChatCompletionRequest, info: EngineInfo) -> Plan:
        text, mark = self._render(request)
        check_text_length(self._tokenizer.least_tokens(text), info.max_model_len, "messages")
        parts = self._tokenizer.encode_batch(text.split(mark) if mark else [text], add_special_tokens=False)
        token_ids = [token_id for part in parts for token_id in part]
        max_tokens = fit_completion(len(token_ids), request.token_limit, info.max_model_len, "messages")
        return Plan(
            prompts=[Prompt(token_ids)],
            sampling=chat_sampling(request, max_tokens, info.vocab_size),
            n=request.n or 1,
            stops=tuple(map(StopPattern, request.stop_strings)),
            joins_prompt=False,
        )

    def _render(self, request: ChatCompletionRequest) -> tuple[str, str | None]:
        """The prompt, and the mark at which it is to be encoded in parts."""
        messages, mark = self._plain_text.mark([message.model_dump(exclude_none=True) for message in request.messages])
        try:
            text = self._template.prompt(messages)
        except ChatTemplateError as error:
            raise InvalidRequest(str(error), param="messages") from error
        self._check_names_used(messages, text)
        return text, mark

    def _check_names_used(self, messages: Sequence[Mapping[str, Any]], text: str) -> None:
        """Most templates do not read `name`: the prompt is the same without. They treat the messages of a role alike."""
        first_named = {message["role"]: position for position, message in reversed(list(enumerate(messages))) if "name" in message}
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


def _nameless(message: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in message.items() if key != "name"}
