"""POST /v1/responses and POST /v1/messages: other shapes of a chat completion."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ValidationError

from llm_api.api.endpoints.generation import STATUSES, GenerationEndpoints
from llm_api.api.openapi import error_responses, json_body
from llm_api.api.request_fields import ignored_fields_header
from llm_api.api.responses import json_response
from llm_api.api.sse import StreamForm
from llm_api.api.validation import invalid_request
from llm_api.dialects.field_names import MESSAGE_FIELDS, RESPONSE_FIELDS, FieldNames
from llm_api.dialects.messages.answer import Message, MessageEvent, MessagesAnswer
from llm_api.dialects.messages.chat_request import chat_request as chat_of_messages
from llm_api.dialects.messages.errors import MessagesError, messages_error
from llm_api.dialects.messages.request import CountTokensRequest, MessagesRequest
from llm_api.dialects.responses.answer import ResponsesAnswer
from llm_api.dialects.responses.chat_request import chat_request as chat_of_response
from llm_api.dialects.responses.request import ResponsesRequest
from llm_api.dialects.responses.response import Response as OpenAIResponse
from llm_api.dialects.responses.response import ResponseEvent
from llm_api.protocol.chat import ChatCompletionRequest
from llm_api.protocol.errors import ApiError
from llm_api.protocol.response import ResponseModel

Body = TypeVar("Body", bound=BaseModel)


class TokenCount(ResponseModel):
    input_tokens: int


def _response_error(error: ApiError, number: int) -> ResponseEvent:
    return ResponseEvent.of("error", number, code=error.code, message=error.message, param=error.param)


DIALECT_BODIES = (ResponsesRequest, ResponseEvent, MessagesRequest, MessageEvent, CountTokensRequest)
RESPONSE_EVENTS = StreamForm(named=True, end=b"", error=_response_error)
MESSAGE_EVENTS = StreamForm(named=True, end=b"", error=lambda error, _number: messages_error(error))


@dataclass(frozen=True, slots=True)
class DialectEndpoints:
    generation: GenerationEndpoints

    def router(self) -> APIRouter:
        router = APIRouter()
        router.post(
            "/v1/responses",
            tags=["Responses"],
            response_model=OpenAIResponse,
            responses={200: _named_events(ResponseEvent), **error_responses(*STATUSES)},
            openapi_extra=json_body(ResponsesRequest),
            summary="Answer a conversation",
        )(self.create_response)
        router.post(
            "/v1/messages",
            tags=["Messages"],
            response_model=Message,
            responses={200: _named_events(MessageEvent), **_messages_errors()},
            openapi_extra=json_body(MessagesRequest),
            summary="Answer a conversation, in Anthropic's shape",
        )(self.create_message)
        router.post(
            "/v1/messages/count_tokens",
            tags=["Messages"],
            response_model=TokenCount,
            responses=_messages_errors(),
            openapi_extra=json_body(CountTokensRequest),
            summary="Count the tokens of a conversation",
        )(self.count_message_tokens)
        return router

    async def create_response(self, http: Request) -> Response:
        request = await self.generation.body.read(http, ResponsesRequest)
        chat = converted(chat_of_response, request, RESPONSE_FIELDS)
        answer = ResponsesAnswer(request, RESPONSE_FIELDS.answer(self.generation.service.chat(chat)))
        return await self.generation.respond(http, chat, answer, RESPONSE_EVENTS)

    async def create_message(self, http: Request) -> Response:
        request = await self.generation.body.read(http, MessagesRequest)
        chat = converted(chat_of_messages, request, MESSAGE_FIELDS)
        answer = MessagesAnswer(request, MESSAGE_FIELDS.answer(self.generation.service.chat(chat)))
        return await self.generation.respond(http, chat, answer, MESSAGE_EVENTS)

    async def count_message_tokens(self, http: Request) -> Response:
        request = await self.generation.body.read(http, CountTokensRequest)
        self.generation.models.find(request.model)
        chat = converted(chat_of_messages, request, MESSAGE_FIELDS)
        with MESSAGE_FIELDS.in_errors():
            count = len(await self.generation.service.tokenize_chat(chat))
        return json_response(TokenCount(input_tokens=count), headers=ignored_fields_header())


def converted(convert: Callable[[Body], ChatCompletionRequest], request: Body, names: FieldNames) -> ChatCompletionRequest:
    """Chat completions have rules of their own, such as that a chosen function exists."""
    with names.in_errors():
        try:
            return convert(request)
        except ValidationError as error:
            raise invalid_request(error) from None


def _named_events(event: type[BaseModel]) -> dict[str, Any]:
    """The 200 of an endpoint that may stream, in addition to its JSON response."""
    content = {"contentMediaType": "application/json", "contentSchema": {"$ref": f"#/components/schemas/{event.__name__}"}}
    item = {
        "type": "object",
        "required": ["event", "data"],
        "properties": {"event": {"type": "string"}, "data": {"type": "string", **content}},
    }
    return {
        "description": "The answer; with `stream` its events, each with the name of its type.",
        "content": {"text/event-stream": {"itemSchema": item}},
    }


def _messages_errors() -> dict[int | str, dict[str, Any]]:
    return {status: {**response, "model": MessagesError} for status, response in error_responses(*STATUSES).items()}
