import httpx2
from api.running_server import RunningServer, running_server
from api.scripted_service import MODEL


def test_models_are_listed_and_retrieved_by_ids_with_slashes(shared_server: RunningServer) -> None:
    client = shared_server.openai()
    assert [model.id for model in client.models.list()] == [MODEL]
    assert httpx2.get(f"{shared_server.url}/v1/models/{MODEL}").json()["object"] == "model"
    assert client.models.retrieve(MODEL).owned_by == "llm-api"
    assert httpx2.get(f"{shared_server.url}/v1/models/none").json()["error"]["code"] == "model_not_found"


def test_a_model_has_what_clients_of_other_servers_read(shared_server: RunningServer) -> None:
    model = httpx2.get(f"{shared_server.url}/v1/models/{MODEL}").json()
    assert {field: model[field] for field in ("max_model_len", "context_length", "root", "parent", "permission")} == {
        "max_model_len": 512,
        "context_length": 512,
        "root": MODEL,
        "parent": None,
        "permission": [],
    }


def test_aliases_are_served_listed_and_answered_with_the_id_of_the_model() -> None:
    with running_server(model_aliases="gpt-4o, gpt-4o-mini") as server:
        client = server.openai()
        assert [model.id for model in client.models.list()] == [MODEL, "gpt-4o", "gpt-4o-mini"]
        assert client.models.retrieve("gpt-4o").owned_by == "llm-api"
        assert httpx2.get(f"{server.url}/v1/models/gpt-4o").json()["root"] == MODEL
        answer = client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "hi"}])
        assert answer.model == MODEL
        assert httpx2.post(f"{server.url}/v1/completions", json={"model": "gpt-4", "prompt": "hi"}).status_code == 404
