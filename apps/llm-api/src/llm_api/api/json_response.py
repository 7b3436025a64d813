"""A model as a JSON response, serialised once."""

from pydantic import BaseModel
from starlette.responses import Response


def json_response(body: BaseModel, status: int = 200) -> Response:
    return Response(body.model_dump_json(), status, media_type="application/json")
