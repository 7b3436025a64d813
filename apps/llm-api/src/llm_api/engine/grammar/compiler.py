"""Compiles the grammars of requests in threads of their own, so that the sequences of other requests go on."""

from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from threading import Lock

import structlog
from llguidance import LLMatcher, LLTokenizer

from llm_api.engine.grammar.state import first_line

log = structlog.get_logger()

CACHED_GRAMMARS = 64
CACHED_CHARACTERS = 8 * 1024 * 1024  # of all cached grammars
THREADS = 2


class GrammarCompiler:
    """Grammars are in llguidance's Lark syntax (https://github.com/guidance-ai/llguidance/blob/main/docs/syntax.md)."""

    def __init__(self, tokenizer_file: Path, vocabulary: int, end_token_ids: frozenset[int]) -> None:
        """`vocabulary`: of the model, which may have more tokens than the tokenizer. `end_token_ids`: end a text."""
        self._file = tokenizer_file
        self._vocabulary = vocabulary
        self._end_token_ids = sorted(end_token_ids)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="grammar")
        self._compiled: OrderedDict[str, LLMatcher] = OrderedDict()
        self._lock = Lock()

    def compile(self, grammar: str, done: Callable[[LLMatcher | str], None]) -> None:
        """Calls `done` in another thread, with a matcher at the grammar's beginning, or with an error in one line."""
        self._threads.submit(lambda: done(self._compile(grammar)))

    def _compile(self, grammar: str) -> LLMatcher | str:
        try:
            matcher = self._matcher(grammar)
        except Exception as error:  # whatever the library raises, the request must end
            log.exception("a grammar could not be compiled")
            return f"The grammar cannot be compiled for this model's tokenizer: {first_line(str(error))}"
        return f"The grammar cannot be compiled: {first_line(matcher.get_error())}" if matcher.is_error() else matcher

    def _matcher(self, grammar: str) -> LLMatcher:
        with self._lock:
            known = self._compiled.get(grammar)
            if known is not None:
                self._compiled.move_to_end(grammar)
                return known.deep_copy()
        matcher = LLMatcher(self._tokenizer, grammar, log_level=0)  # without the GIL
        if not matcher.is_error():
            with self._lock:
                self._remember(grammar, matcher.deep_copy())
        return matcher

    def _remember(self, grammar: str, matcher: LLMatcher) -> None:
        self._compiled[grammar] = matcher
        while len(self._compiled) > CACHED_GRAMMARS or sum(map(len, self._compiled)) > CACHED_CHARACTERS:
            self._compiled.popitem(last=False)

    @property
    def mask_tokens(self) -> int:
        """Tokens of a mask: of the tokenizer or of the model, whichever has more."""
        return self._tokenizer.vocab_size

    @cached_property
    def _tokenizer(self) -> LLTokenizer:
        """Made for the first grammar: it takes a third of a second and the memory of another tokenizer."""
        tokenizer = LLTokenizer(str(self._file), eos_token=self._end_token_ids)
        if tokenizer.vocab_size >= self._vocabulary:
            return tokenizer
        return LLTokenizer(str(self._file), n_vocab=self._vocabulary, eos_token=self._end_token_ids)
