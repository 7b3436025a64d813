"""API errors in the format of OpenAI: a family of exceptions, and the JSON object they become."""

from collections.abc import Mapping

from llm_api.protocol.response import ResponseModel

# Whole seconds in the header Retry-After
OVERLOADED_RETRY_AFTER = 1  # places become free as requests end
UNAVAILABLE_RETRY_AFTER = 5  # the model is loading, or the server is restarting
LEAVING_RETRY_AFTER = 1  # another replica may answer at once


class ErrorObject(ResponseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorResponse(ResponseModel):
    """The body of every error response, and the data of a stream's error event."""

    error: ErrorObject


class ApiError(Exception):
    """An error for the client. `message` is sent unchanged: it names the field, the limit and the fix, and nothing internal."""

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
    """The client took too long to send its request. The connection is closed, so that the server does not wait for the rest."""

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
        super().__init__(f"The request line and headers are larger than this server's limit of {limit} bytes; send less.")


class Overloaded(ApiError):
    """The queue is full."""

    status = 429
    type = "requests"
    code = "rate_limit_exceeded"

    def __init__(self, message: str) -> None:
        super().__init__(message, headers={"retry-after": str(OVERLOADED_RETRY_AFTER)})


class EngineFailed(ApiError):
    """The engine failed to generate. The same request may succeed on another replica, or later."""

    status = 500
    code = "engine_error"


class Unavailable(ApiError):
    """The model is loading or has failed, or the server is draining. `retry_after` is in whole seconds."""

    status = 503
    code = "service_unavailable"

    def __init__(self, message: str, *, retry_after: int = UNAVAILABLE_RETRY_AFTER, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message, headers={"retry-after": str(retry_after), **(headers or {})})


class Leaving(Unavailable):
    """The server is shutting down. Another replica, or its replacement, may answer."""

    def __init__(self) -> None:
        super().__init__("The server is shutting down; try again.", retry_after=LEAVING_RETRY_AFTER, headers={"connection": "close"})


class GenerationTimeout(ApiError):
    """The request reached REQUEST_TIMEOUT."""

    status = 504
    code = "timeout"
