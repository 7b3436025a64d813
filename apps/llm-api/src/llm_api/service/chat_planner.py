"""From a chat to a plan that fits the model. Slow for long texts, so it runs off the event loop."""

from llm_api.chat.errors import ChatTemplateError
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

    def plan(self, request: ChatCompletionRequest, info: EngineInfo) -> Plan:
        text = self._render(request)
        check_text_length(self._tokenizer.least_tokens(text), info.max_model_len, "messages")
        token_ids = self._tokenizer.encode(text, add_special_tokens=False)
        max_tokens = fit_completion(len(token_ids), request.token_limit, info.max_model_len, "messages")
        return Plan(
            prompts=[Prompt(token_ids)],
            sampling=chat_sampling(request, max_tokens, info.vocab_size),
            n=request.n or 1,
            stops=tuple(map(StopPattern, request.stop_strings)),
            joins_prompt=False,
        )

    def _render(self, request: ChatCompletionRequest) -> str:
        try:
            return self._template.prompt([message.model_dump(exclude_none=True) for message in request.messages])
        except ChatTemplateError as error:
            raise InvalidRequest(str(error), param="messages") from error
