"""How the text of an answer is read: reasoning first, then calls of functions, then the answer."""

from collections.abc import Callable
from functools import partial

from llm_api.chat.output.parts import OutputParser, PlainOutput
from llm_api.chat.output.reasoning import ReasoningParser
from llm_api.chat.output.reasoning_formats import ReasoningFormat
from llm_api.chat.output.reasoning_grammar import after_reasoning
from llm_api.chat.tools.call_format import CallFormat
from llm_api.chat.tools.parser import ToolCallParser
from llm_api.grammar.lark import grammar
from llm_api.protocol.chat import ChatCompletionRequest
from llm_api.service.answer_forms import AnswerForm
from llm_api.tokenization.tokenizer import Tokenizer


class ChatOutput:
    """`prompt_end`, below: the last characters of the rendered prompt. A prompt may end within the reasoning, or after it."""

    def __init__(self, tokenizer: Tokenizer, reasoning: ReasoningFormat | None, calls: CallFormat | None) -> None:
        """None: the model does not reason, or does not call functions."""
        self._reasoning = reasoning
        self._calls = calls
        self._tokens = tokenizer.special_token_ids
        self._kept_for_reasoning = tokenizer.special_ids_in(reasoning.texts if reasoning else ())
        self._kept_for_calls = tokenizer.special_ids_in(calls.texts if calls else ())

    def kept_token_ids(self, request: ChatCompletionRequest) -> frozenset[int]:
        """Special tokens that the parser reads."""
        return self._kept_for_reasoning | (self._kept_for_calls if request.call_rule else frozenset())

    def parser(self, request: ChatCompletionRequest, prompt_end: str) -> Callable[[], OutputParser]:
        rule = request.call_rule
        then: Callable[[], OutputParser] = PlainOutput
        if rule is not None and self._calls is not None:
            then = partial(ToolCallParser, self._calls, forced=rule.mode != "auto")
        reasoning = self._reasoning
        if reasoning is None or self._has_ended(request, prompt_end):
            return then
        begun, included = self._has_begun(request, prompt_end), request.include_reasoning is not False
        return lambda: ReasoningParser(reasoning, then(), begun=begun, included=included)

    def grammar(self, request: ChatCompletionRequest, form: AnswerForm | None, prompt_end: str) -> str | None:
        if form is None:
            return None
        if self._reasoning is None or self._has_ended(request, prompt_end):
            return form.grammar()
        begun = self._has_begun(request, prompt_end)
        return grammar(*after_reasoning(self._reasoning, form.start, form.rules, self._tokens, begun=begun))

    def _has_begun(self, request: ChatCompletionRequest, prompt_end: str) -> bool:
        assert self._reasoning is not None  # noqa: S101
        if request.continue_final_message:
            text = _last_text(request)
            return text.rfind(self._reasoning.start) > text.rfind(self._reasoning.end)
        return prompt_end.rstrip().endswith(self._reasoning.start)

    def _has_ended(self, request: ChatCompletionRequest, prompt_end: str) -> bool:
        """Also a message that is continued has ended its reasoning, or has none."""
        assert self._reasoning is not None  # noqa: S101
        if request.continue_final_message:
            return not self._has_begun(request, prompt_end)
        return prompt_end.rstrip().endswith(self._reasoning.end)


def _last_text(request: ChatCompletionRequest) -> str:
    content = request.messages[-1].content
    return content if isinstance(content, str) else "".join(part.text for part in content or ())
