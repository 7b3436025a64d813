"""Errors as OpenAI clients know them: one exception family, one JSON object."""

from collections.abc import Mapping

from llm_api.protocol.response import AnswerModel


class ErrorObject(AnswerModel):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorResponse(AnswerModel):
    """The body of every error response, and the data of a stream's error event."""

    error: ErrorObject


class ApiError(Exception):
    """What a client is told. `message` goes out as it is: name the field, the limit and the fix, and nothing internal."""

    status = 500
    type = "server_error"
    code: str | None = None

    def __init__(
        self, message: str, *, param: str | None = None, code: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code or type(self).code
        self.headers = dict(headers or {})

    def response(self) -> ErrorResponse:
        return ErrorResponse(error=ErrorObject(message=self.message, type=self.type, param=self.param, code=self.code))


class InvalidRequest(ApiError):
    status = 400
    type = "invalid_request_error"
    code = "invalid_value"


class Unauthorized(ApiError):
    """No key (code null) or a wrong one (`invalid_api_key`)."""

    status = 401
    type = "invalid_request_error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message, code=code, headers={"www-authenticate": "Bearer"})


class NotFound(ApiError):
    status = 404
    type = "invalid_request_error"


class ModelNotFound(NotFound):
    code = "model_not_found"

    def __init__(self, model: str) -> None:
        super().__init__(f"The model `{model[:200]}` does not exist or you do not have access to it.", param="model")


class MethodNotAllowed(ApiError):
    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"


class RequestTimeout(ApiError):
    """The client took too long to send its body. The connection ends, so that the rest of it is not waited for."""

    status = 408
    type = "invalid_request_error"
    code = "request_timeout"

    def __init__(self, message: str) -> None:
        super().__init__(message, headers={"connection": "close"})


class BodyTooLarge(ApiError):
    status = 413
    type = "invalid_request_error"
    code = "request_too_large"


class UnsupportedMediaType(ApiError):
    status = 415
    type = "invalid_request_error"
    code = "unsupported_media_type"


class HeadersTooLarge(ApiError):
    status = 431
    type = "invalid_request_error"
    code = "headers_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"The request line and headers are larger than the {limit} bytes that this server takes; send less.")


class Overloaded(ApiError):
    """The queue is full. `retry_after` in whole seconds."""

    status = 429
    type = "requests"
    code = "rate_limit_exceeded"

    def __init__(self, message: str, *, retry_after: int = 1) -> None:
        super().__init__(message, headers={"retry-after": str(retry_after)})


class EngineFailed(ApiError):
    """The generation failed on our side, so the same request may succeed elsewhere or later."""

    status = 500
    code = "engine_error"


class Unavailable(ApiError):
    """Loading, or draining. `retry_after` in whole seconds."""

    status = 503
    code = "service_unavailable"

    def __init__(self, message: str, *, retry_after: int = 5, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message, headers={"retry-after": str(retry_after), **(headers or {})})


class Leaving(Unavailable):
    """The server is on its way out: another one, or this one's successor, may answer."""

    def __init__(self) -> None:
        super().__init__("The server is shutting down; try again.", retry_after=1, headers={"connection": "close"})


class GenerationTimeout(ApiError):
    """The request reached REQUEST_TIMEOUT."""

    status = 504
    code = "timeout"
