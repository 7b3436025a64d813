import httpx2
from api.running_server import RunningServer
from api.scripted_service import MODEL


def test_models_are_listed_and_retrieved_by_ids_with_slashes(shared_server: RunningServer) -> None:
    client = shared_server.openai()
    assert [model.id for model in client.models.list()] == [MODEL]
    assert httpx2.get(f"{shared_server.url}/v1/models/{MODEL}").json()["object"] == "model"
    assert client.models.retrieve(MODEL).owned_by == "llm-api"
    assert httpx2.get(f"{shared_server.url}/v1/models/none").json()["error"]["code"] == "model_not_found"
