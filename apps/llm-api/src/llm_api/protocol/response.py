"""What every model of an answer has in common."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class AnswerModel(BaseModel):
    """In JSON schemas a field is required when it is always sent, default or not."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)


def without_usage(schema: dict[str, Any]) -> None:
    """For the JSON schema of a chunk, from which the API may leave out `usage`."""
    schema["required"].remove("usage")
