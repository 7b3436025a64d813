"""DSPy's language model and embedder, through LiteLLM."""

import dspy
from reporting import API_KEY, BASE_URL, EMBEDDING_MODEL, MODEL, client, shows, skipped

model = dspy.LM(f"openai/{MODEL}", api_base=BASE_URL, api_key=API_KEY, max_tokens=80, cache=False, num_retries=0)


client("dspy")


@shows("chat")
def _() -> None:
    assert model("Say hello.")[0]


skipped("structured output", "DSPy sends a schema only to models that LiteLLM's list of models names")


@shows("embeddings")
def _() -> None:
    embedder = dspy.Embedder(f"openai/{EMBEDDING_MODEL}", api_base=BASE_URL, api_key=API_KEY, caching=False)
    assert len(embedder(["Kubernetes"])[0]) == 384
