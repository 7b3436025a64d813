"""uvicorn's HTTP protocol, with the OpenAI error object for what is not HTTP at all."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from llm_api.protocol.errors import InvalidRequest


class HttpProtocol(HttpToolsProtocol):
    def send_400_response(self, msg: str) -> None:
        body = InvalidRequest(msg, code="invalid_http").response().model_dump_json().encode()
        head = f"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        self.transport.write(head.encode() + body)
        self.transport.close()
