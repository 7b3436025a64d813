"""How the text of an answer is read: reasoning first, then calls of functions, then the answer."""

from collections.abc import Callable
from functools import partial
from typing import Literal

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
        self._special_ids = frozenset(self._tokens.values())
        self._kept_for_reasoning = tokenizer.special_ids_in(reasoning.texts if reasoning else ())
        apart = calls.reasoning.texts if calls and calls.reasoning else ()
        self._kept_for_calls = tokenizer.special_ids_in((*calls.texts, *apart) if calls else ())

    def kept_token_ids(self, request: ChatCompletionRequest) -> frozenset[int]:
        """Special tokens that the parser reads, or that the client asked for."""
        if request.skip_special_tokens is False:
            return self._special_ids
        return self._kept_for_reasoning | (self._kept_for_calls if request.call_rule else frozenset())

    def parser(self, request: ChatCompletionRequest, prompt_end: str) -> Callable[[], OutputParser]:
        rule = request.call_rule
        then: Callable[[], OutputParser] = PlainOutput
        if rule is not None and self._calls is not None:
            schemas = {function.name: function.parameters for function in rule.functions}
            then = partial(ToolCallParser, self._calls, schemas, forced=rule.mode != "auto")
        reasoning, place = self._reasoning_of(request), self._place(request, prompt_end)
        if reasoning is None or place == "after":
            return then
        begun, included = place == "inside", request.include_reasoning is not False
        return lambda: ReasoningParser(reasoning, then(), begun=begun, included=included)

    def grammar(self, request: ChatCompletionRequest, form: AnswerForm | None, prompt_end: str) -> str | None:
        if form is None:
            return None
        reasoning, place = self._reasoning_of(request), self._place(request, prompt_end)
        if reasoning is None or place == "after":
            return form.grammar()
        return grammar(*after_reasoning(reasoning, form.start, form.rules, self._tokens, begun=place == "inside"))

    def _reasoning_of(self, request: ChatCompletionRequest) -> ReasoningFormat | None:
        if request.call_rule and self._calls and self._calls.reasoning:
            return self._calls.reasoning
        return self._reasoning

    def _place(self, request: ChatCompletionRequest, prompt_end: str) -> Literal["before", "inside", "after"]:
        """Where the answer begins, relative to its reasoning. A message that is continued has ended its reasoning, or is inside."""
        reasoning = self._reasoning_of(request)
        if reasoning is None:
            return "after"
        start, end = reasoning.start, reasoning.end
        if request.continue_final_message:
            text = _last_text(request)
            return "inside" if text.rfind(start) > text.rfind(end) else "after"
        written = prompt_end.rstrip()
        return "after" if written.endswith(end) else "inside" if written.endswith(start) else "before"


def _last_text(request: ChatCompletionRequest) -> str:
    content = request.messages[-1].content
    return content if isinstance(content, str) else "".join(part.text for part in content or ())
