"""Which paths need no API key, and which serve the model."""

OPEN_PATHS = frozenset({"/healthz", "/livez", "/livez/engine", "/readyz", "/health", "/ping", "/docs", "/openapi.json", "/version"})
DOCS_ASSETS = "/docs/assets"
MODEL_PATHS = "/v1/"
EMBEDDING_PATHS = frozenset({"/v1/embeddings", "/v1/rerank", "/v1/score"})


def is_open(path: str) -> bool:
    return path in OPEN_PATHS or path.startswith(DOCS_ASSETS + "/")


def serves_model(path: str) -> bool:
    return path.startswith(MODEL_PATHS)
