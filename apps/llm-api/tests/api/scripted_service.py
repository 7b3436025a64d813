"""A ModelService that follows a script, so that tests can choose its timing and failures. tests/serving uses the real model."""

import asyncio
import queue
from array import array
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from llm_api.protocol.chat import ChatCompletionRequest
from llm_api.protocol.chat_answer import AnswerMessage, ChatCompletion, ChatCompletionChunk, Choice, ChunkChoice, Delta
from llm_api.protocol.completions import Completion, CompletionChoice, CompletionRequest
from llm_api.protocol.embeddings import EmbeddingsRequest
from llm_api.protocol.errors import InvalidRequest
from llm_api.protocol.models import Model
from llm_api.protocol.response import Usage
from llm_api.service.model_service import Embeddings, ServiceHealth, ServicePhase
from llm_api.telemetry.context import current_request

MODEL = "org/tiny-model"
EMBEDDING_MODEL = "org/tiny-embedding"
Words = Callable[[ChatCompletionRequest | CompletionRequest], AsyncIterator[str]]
WORDS = ("Kubernetes", " is", " a", " platform")


@dataclass(frozen=True)
class Script:
    words: tuple[str, ...] = WORDS
    pause: float = 0.0  # seconds before each word
    hold_after: int | None = None  # words after which it waits for `release`
    fail_after: int | None = None  # words after which it raises `error`
    error: Exception = field(default_factory=lambda: RuntimeError("secret prompt text"))


class ScriptedService:
    """The last message or the prompt of a request chooses its script from `scripts`. Other requests get the default one."""

    def __init__(self, phase: ServicePhase = "ready", max_num_seqs: int = 4) -> None:
        self.scripts: dict[str, Script] = {}
        self.phase: ServicePhase = phase
        self.progressing = True
        self.embeds = False
        self.begun: queue.Queue[str] = queue.Queue()  # the text of each request, when it begins
        self.ended: queue.Queue[str] = queue.Queue()  # finished, cancelled or failed, when a request ends
        self._max_num_seqs = max_num_seqs
        self._loop: asyncio.AbstractEventLoop | None = None
        self._released = asyncio.Event()
        self._failed: asyncio.Future[str] | None = None

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._failed = self._loop.create_future()

    async def stop(self) -> None:
        self.phase = "failed"

    def release(self) -> None:
        """Ends the current holds. May be called from any thread."""
        assert self._loop
        self._loop.call_soon_threadsafe(self._let_go)

    def _let_go(self) -> None:
        self._released.set()
        self._released = asyncio.Event()

    def fail(self, reason: str) -> None:
        """Fails as if the engine process had died. May be called from any thread."""
        assert self._loop
        assert self._failed
        self.phase = "failed"
        self._loop.call_soon_threadsafe(self._failed.set_result, reason)

    async def wait_failed(self) -> str:
        assert self._failed
        return await asyncio.shield(self._failed)

    def models(self) -> list[Model]:
        return [Model(id=MODEL, root=MODEL, created=1700000000, owned_by="llm-api", max_model_len=512, context_length=512)]

    def health(self) -> ServiceHealth:
        return ServiceHealth(self.phase, self.progressing, f"the model is {self.phase}", self._max_num_seqs)

    def chat(self, request: ChatCompletionRequest) -> "ScriptedChat":
        return ScriptedChat(request, self._words)

    def complete(self, request: CompletionRequest) -> "ScriptedCompletion":
        return ScriptedCompletion(request, self._words)

    def embedding_model(self) -> Model | None:
        return Model(id=EMBEDDING_MODEL, root=EMBEDDING_MODEL, created=1700000000, owned_by="llm-api") if self.embeds else None

    async def embed(self, request: EmbeddingsRequest) -> Embeddings:
        """Of each text: its length, and 1. "hold" waits for `release`; "too long" is refused."""
        if "hold" in request.items:
            with self._recorded("hold"):
                await self._released.wait()
        for item, path in zip(request.items, request.paths, strict=True):
            if item == "too long":
                raise InvalidRequest(f"'{path}' is too long.", param=path)
        lengths = [len(item) for item in request.items]
        current_request().prompt_tokens = sum(lengths)
        return Embeddings([array("f", [length, 1]).tobytes() for length in lengths], sum(lengths))

    async def tokenize_chat(self, request: ChatCompletionRequest) -> list[int]:
        return [0] * 7

    async def tokenize(self, text: str, add_special_tokens: bool) -> list[int]:
        return [1] * add_special_tokens + [ord(letter) for letter in text]

    async def detokenize(self, token_ids: list[int]) -> str:
        return "".join(map(chr, token_ids))

    async def token_names(self, token_ids: list[int]) -> list[str]:
        return [f"<{token_id}>" for token_id in token_ids]

    async def _words(self, request: ChatCompletionRequest | CompletionRequest) -> AsyncIterator[str]:
        text = _text_of(request)
        script = self.scripts.get(text, Script())
        with self._recorded(text):
            for count, word in enumerate((*script.words, None)):
                if script.fail_after == count:
                    raise script.error
                if script.hold_after == count:
                    await self._released.wait()
                await asyncio.sleep(script.pause)
                if word is not None:
                    yield word

    @contextmanager
    def _recorded(self, text: str) -> Iterator[None]:
        context, outcome = current_request(), "finished"
        context.prompt_tokens, context.completion_tokens, context.finish_reason = 7, len(WORDS), "stop"
        self.begun.put(text)
        try:
            yield
        except (asyncio.CancelledError, GeneratorExit):
            outcome = "cancelled"
            raise
        except Exception:
            outcome = "failed"
            raise
        finally:
            self.ended.put(outcome)


class ScriptedChat:
    def __init__(self, request: ChatCompletionRequest, words: Words) -> None:
        self._request = request
        self._words = words

    async def infer(self) -> ChatCompletion:
        text = "".join([word async for word in self._words(self._request)])
        choices = [Choice(index=i, message=AnswerMessage(content=text), finish_reason="stop") for i in range(self._request.sequences)]
        return ChatCompletion(choices=choices, usage=Usage.of(7, len(WORDS), cached_tokens=2), **_envelope("chatcmpl-1"))

    async def stream_infer(self) -> AsyncGenerator[ChatCompletionChunk]:
        delta = Delta(role="assistant", content="")
        async for word in self._words(self._request):
            if delta.role:
                yield _chunk(ChunkChoice(index=0, delta=delta))
            delta = Delta(content=word)
            yield _chunk(ChunkChoice(index=0, delta=delta))
        yield _chunk(ChunkChoice(index=0, delta=Delta(), finish_reason="stop"))
        if self._request.include_usage:
            yield ChatCompletionChunk(choices=[], usage=Usage.of(7, len(WORDS)), **_envelope("chatcmpl-1"))


class ScriptedCompletion:
    def __init__(self, request: CompletionRequest, words: Words) -> None:
        self._request = request
        self._words = words

    async def infer(self) -> Completion:
        text = "".join([word async for word in self._words(self._request)])
        choices = [CompletionChoice(index=i, text=text, finish_reason="stop") for i in range(self._request.sequences)]
        return Completion(choices=choices, usage=Usage.of(7, len(WORDS), cached_tokens=2), **_envelope("cmpl-1"))

    async def stream_infer(self) -> AsyncGenerator[Completion]:
        async for word in self._words(self._request):
            yield Completion(choices=[CompletionChoice(index=0, text=word, finish_reason=None)], **_envelope("cmpl-1"))
        yield Completion(choices=[CompletionChoice(index=0, text="", finish_reason="stop")], **_envelope("cmpl-1"))
        if self._request.include_usage:
            yield Completion(choices=[], usage=Usage.of(7, len(WORDS)), **_envelope("cmpl-1"))


def _text_of(request: ChatCompletionRequest | CompletionRequest) -> str:
    content = request.prompt if isinstance(request, CompletionRequest) else request.messages[-1].content
    return content if isinstance(content, str) else repr(content)


def _envelope(answer_id: str) -> dict[str, Any]:
    return {"id": answer_id, "created": 1700000000, "model": MODEL}


def _chunk(choice: ChunkChoice) -> ChatCompletionChunk:
    return ChatCompletionChunk(choices=[choice], **_envelope("chatcmpl-1"))
