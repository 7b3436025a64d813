"""What the generating endpoints share: check the model, take places, answer whole or as a stream."""

from contextlib import AbstractContextManager
from dataclasses import dataclass

from fastapi import Request, Response

from llm_api.api.body import BodyReader
from llm_api.api.cutoff import Cutoff
from llm_api.api.middleware.admission import Admission
from llm_api.api.responses import json_response
from llm_api.api.sse import EventStream
from llm_api.protocol.chat import ChatCompletionRequest
from llm_api.protocol.completions import CompletionRequest
from llm_api.protocol.errors import GenerationTimeout, ModelNotFound
from llm_api.server.lifecycle import Lifecycle
from llm_api.service.model_service import ModelService
from llm_api.settings import Settings
from llm_api.telemetry.context import current_request


@dataclass(frozen=True, slots=True)
class GeneratingEndpoint:
    settings: Settings
    service: ModelService
    lifecycle: Lifecycle
    admission: Admission
    body: BodyReader

    async def answer(self, http: Request, request: ChatCompletionRequest | CompletionRequest) -> Response:
        self._check_model(request.model)
        places = self.admission.places(request.sequences)
        cutoff = self._cutoff()
        if request.stream:
            left_out = None if request.include_usage else {"usage"}
            return EventStream(self.service.stream_infer(request), places, cutoff, self.settings, left_out)
        return await self._whole(http, request, places, cutoff)

    async def _whole(
        self, http: Request, request: ChatCompletionRequest | CompletionRequest, places: AbstractContextManager[None], cutoff: Cutoff
    ) -> Response:
        with places:
            async with cutoff.armed(), cutoff.watching(http.receive):
                result = await self.service.infer(request)
        return json_response(result)

    def _cutoff(self) -> Cutoff:
        seconds = self.settings.request_timeout
        return Cutoff(self.lifecycle, seconds, GenerationTimeout(f"The request took longer than {seconds:g} seconds and was ended."))

    def _check_model(self, model: str) -> None:
        if all(model != known.id for known in self.service.models()):
            raise ModelNotFound(model)
        current_request().model = model
