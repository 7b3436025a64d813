"""LangChain's published standard tests for ChatOpenAI and OpenAIEmbeddings."""

import os
from typing import Any, ClassVar

from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from langchain_tests.integration_tests import ChatModelIntegrationTests, EmbeddingsIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

SERVER = {"base_url": os.environ["BASE_URL"], "api_key": os.environ["API_KEY"], "max_retries": 0}
MODEL = os.environ["MODEL"]


class _Switches:
    """What the server does not claim."""

    limit: ClassVar[dict[str, Any]] = {}
    supports_image_inputs = False
    supports_image_urls = False
    supports_pdf_inputs = False
    supports_audio_inputs = False
    supports_json_mode = True
    has_tool_choice = True

    @property
    def chat_model_class(self) -> type[ChatOpenAI]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": MODEL, "stream_usage": True, **SERVER, **self.limit}


class TestUnit(_Switches, ChatModelUnitTests):
    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
        environment = {"OPENAI_API_KEY": "key", "OPENAI_API_BASE": "https://base.com"}
        return environment, {"model": MODEL}, {"openai_api_key": "key", "openai_api_base": "https://base.com"}


class TestIntegration(_Switches, ChatModelIntegrationTests):
    # Without a penalty, the small model may repeat itself in a string or a number until the limit.
    limit: ClassVar[dict[str, Any]] = {"max_tokens": 300, "temperature": 0, "frequency_penalty": 2}


class TestEmbeddings(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self) -> type[OpenAIEmbeddings]:
        return OpenAIEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model": os.environ["EMBEDDING_MODEL"], "check_embedding_ctx_length": False, **SERVER}
