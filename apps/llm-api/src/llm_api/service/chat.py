"""Chat completions: from a conversation to a plan that fits the model."""

from llm_api.chat.template import ChatTemplate
from llm_api.engine.messages import EngineInfo
from llm_api.protocol.chat import ChatCompletionRequest
from llm_api.protocol.errors import InvalidRequest
from llm_api.service.answer_forms import AnswerForm
from llm_api.service.chat_output import ChatOutput
from llm_api.service.chat_prompt import ChatPrompts, UnusedField
from llm_api.service.plan import Plan, Prompt, check_vocabulary, fit_completion, kept_prompt
from llm_api.service.sampling import chat_sampling
from llm_api.settings import RequestFields
from llm_api.tokenization.stop_strings import StopPattern
from llm_api.tokenization.tokenizer import Tokenizer


class ChatPlanner:
    """Slow for long texts, so it runs off the event loop; threads may share it.

    Raises InvalidRequest if the model cannot take the request.
    """

    def __init__(self, tokenizer: Tokenizer, template: ChatTemplate, output: ChatOutput | None = None) -> None:
        self._output = output or ChatOutput(tokenizer, None, None)
        self._prompts = ChatPrompts(tokenizer, template)
        self._tokenizer = tokenizer

    def token_ids(self, request: ChatCompletionRequest, info: EngineInfo) -> list[int]:
        """The prompt, however long its answer may be."""
        return self._prompts.prompt(request, info.max_model_len).token_ids

    def plan(
        self, request: ChatCompletionRequest, info: EngineInfo, form: AnswerForm | None = None, fields: RequestFields = "warn"
    ) -> Plan:
        """`form`: that the answer is held to."""
        prompt = self._prompts.prompt(request, info.max_model_len)
        token_ids = kept_prompt(prompt.token_ids, request.token_limit, request.truncate_prompt_tokens, info.max_model_len)
        check_vocabulary(token_ids, self._tokenizer, info.vocab_size, "messages")
        unused = self._prompts.unused_fields(request)
        if unused and fields == "strict":
            raise _unused_field(unused[0])
        limit, cut = request.token_limit, fields != "strict"
        max_tokens = fit_completion(len(token_ids), limit, info.max_model_len, "messages", cut=cut)
        return Plan(
            prompts=[Prompt(token_ids)],
            sampling=chat_sampling(request, max_tokens, self._tokenizer, info.vocab_size, self._output.grammar(request, form, prompt.end)),
            n=request.n or 1,
            stops=tuple(map(StopPattern, request.stop_strings)),
            joins_prompt=bool(request.continue_final_message),
            new_parser=self._output.parser(request, prompt.end),
            kept_token_ids=self._output.kept_token_ids(request),
            keeps_stops=bool(request.include_stop_str_in_output),
            priority=request.priority or 0,
            returns_token_ids=bool(request.return_token_ids),
            ignored_fields=(*_cut(request, max_tokens), *(field.name for field in unused)),
        )


def _cut(request: ChatCompletionRequest, max_tokens: int) -> list[str]:
    """The field that asks for more tokens than the context has room for."""
    if request.token_limit is None or request.token_limit <= max_tokens:
        return []
    return ["max_tokens" if request.max_completion_tokens is None else "max_completion_tokens"]


def _unused_field(field: UnusedField) -> InvalidRequest:
    return InvalidRequest(f"'{field.name}' has no effect: {field.reason}; leave it out.", param=field.name, code="unsupported_parameter")
