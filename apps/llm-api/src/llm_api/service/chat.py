"""Chat completions: from a conversation to a plan that fits the model."""

from collections.abc import Callable
from functools import partial

from llm_api.chat.output.parts import OutputParser, PlainOutput
from llm_api.chat.template import ChatTemplate
from llm_api.chat.tools.call_format import CallFormat
from llm_api.chat.tools.parser import ToolCallParser
from llm_api.engine.messages import EngineInfo
from llm_api.protocol.chat import ChatCompletionRequest
from llm_api.protocol.errors import InvalidRequest
from llm_api.service.answer_forms import AnswerForm
from llm_api.service.chat_prompt import ChatPrompts, UnusedField
from llm_api.service.plan import Plan, Prompt, check_vocabulary, fit_completion
from llm_api.service.sampling import chat_sampling
from llm_api.settings import RequestFields
from llm_api.tokenization.stop_strings import StopPattern
from llm_api.tokenization.tokenizer import Tokenizer


class ChatPlanner:
    """Slow for long texts, so it runs off the event loop; threads may share it.

    Raises InvalidRequest if the model cannot take the request.
    """

    def __init__(
        self, tokenizer: Tokenizer, template: ChatTemplate, fields: RequestFields = "warn", call_format: CallFormat | None = None
    ) -> None:
        """`call_format`: how the model calls functions, if it may."""
        self._fields = fields
        self._call_format = call_format
        self._call_tokens = tokenizer.special_ids_in(call_format.texts if call_format else ())
        self._prompts = ChatPrompts(tokenizer, template)
        self._tokenizer = tokenizer

    def plan(self, request: ChatCompletionRequest, info: EngineInfo, form: AnswerForm | None = None) -> Plan:
        """`form`: that the answer is held to."""
        token_ids = self._prompts.token_ids(request, info.max_model_len)
        check_vocabulary(token_ids, self._tokenizer, info.vocab_size, "messages")
        unused = self._prompts.unused_fields(request)
        if unused and self._fields == "strict":
            raise _unused_field(unused[0])
        limit, cut = request.token_limit, self._fields != "strict"
        max_tokens = fit_completion(len(token_ids), limit, info.max_model_len, "messages", cut=cut)
        return Plan(
            prompts=[Prompt(token_ids)],
            sampling=chat_sampling(request, max_tokens, self._tokenizer, info.vocab_size, form.grammar() if form else None),
            n=request.n or 1,
            stops=tuple(map(StopPattern, request.stop_strings)),
            joins_prompt=bool(request.continue_final_message),
            new_parser=self._parser(request),
            kept_token_ids=self._call_tokens if request.call_rule else frozenset(),
            keeps_stops=bool(request.include_stop_str_in_output),
            ignored_fields=(*_cut(request, max_tokens), *(field.name for field in unused)),
        )

    def _parser(self, request: ChatCompletionRequest) -> Callable[[], OutputParser]:
        rule = request.call_rule
        if rule is None or self._call_format is None:
            return PlainOutput
        return partial(ToolCallParser, self._call_format, forced=rule.mode != "auto")


def _cut(request: ChatCompletionRequest, max_tokens: int) -> list[str]:
    """The field that asks for more tokens than the context has room for."""
    if request.token_limit is None or request.token_limit <= max_tokens:
        return []
    return ["max_tokens" if request.max_completion_tokens is None else "max_completion_tokens"]


def _unused_field(field: UnusedField) -> InvalidRequest:
    return InvalidRequest(f"'{field.name}' has no effect: {field.reason}; leave it out.", param=field.name, code="unsupported_parameter")
