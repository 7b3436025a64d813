"""`diff` shows the effect of a change on an environment, and never shows a secret."""

from bump.delivery_process import Delivery
from bump.repositories import Remote, git
from copied_tree import editor

SECRET = """apiVersion: v1
kind: Secret
metadata:
  name: {name}
stringData:
  password: {password}
"""


def change(remote: Remote, file: str, old: str, new: str) -> None:
    editor(remote.work)(file, old, new)
    remote.merge(f"Change {file}")


def compared(delivery: Delivery, remote: Remote, overlay: str = "overlays/prod") -> str:
    said = delivery("diff", overlay, "--old", git(remote.bare, "rev-parse", "main~1"), "--new", "origin/main")
    assert said.code == 0, said.err
    return said.out


def fetch(remote: Remote) -> None:
    git(remote.bare.parent / "pipeline", "fetch", "-q")


def test_a_changed_setting_shows_in_every_environment_with_the_restart(remote: Remote, delivery: Delivery, process: Delivery) -> None:
    change(remote, "base/deployment.yaml", 'value: "75"', 'value: "90"')
    fetch(remote)
    said = compared(process, remote)
    assert "-          value: '75'\n+          value: '90'" in said
    assert said.count("+++ ") == 1
    assert "forecast: restarts llm-api: 2 of 3 to 5 of 6 serving, at most 6 x 42 min, needs no spare GPU" in said
    dev = compared(delivery, remote, "overlays/dev")
    assert "forecast: restarts llm-api: 1 of 1 serving, at most 1 x 22 min, needs capacity for 1 more" in dev


def test_a_change_that_restarts_nothing_is_reported_as_such(remote: Remote, delivery: Delivery) -> None:
    change(remote, "base/service.yaml", "port: 80", "port: 8080")
    fetch(remote)
    said = compared(delivery, remote)
    assert "--- Service/llm-api\n" in said
    assert "forecast: does not restart llm-api" in said


def test_removed_objects_are_reported_and_those_that_are_never_pruned(remote: Remote, delivery: Delivery) -> None:
    change(remote, "overlays/prod/kustomization.yaml", "  - ../../components/model-cache\n", "")
    fetch(remote)
    said = compared(delivery, remote)
    assert "from the tree; it stays in the cluster, because it is never pruned" in said
    assert "+++ /dev/null" in said


def test_secrets_are_masked_and_their_changes_still_show(remote: Remote, delivery: Delivery) -> None:
    for name in ("changed", "same"):
        (remote.work / f"overlays/dev/{name}.yaml").write_text(SECRET.format(name=name, password="first-value"))
        editor(remote.work)("overlays/dev/kustomization.yaml", "  - ../../base\n", f"  - ../../base\n  - {name}.yaml\n")
    editor(remote.work)("overlays/dev/deployment.yaml", "env:", 'env:\n            - name: HF_TOKEN\n              value: "in-the-open"')
    remote.merge("Secrets")
    (remote.work / "overlays/dev/changed.yaml").write_text(SECRET.format(name="changed", password="second-value"))
    editor(remote.work)("overlays/dev/deployment.yaml", "in-the-open", "another-one")
    remote.merge("Another value")
    fetch(remote)
    said = compared(delivery, remote, "overlays/dev")
    assert not [value for value in ("first-value", "second-value", "in-the-open", "another-one") if value in said]
    assert said.count("-  password: (masked ") == said.count("+  password: (masked ") == 1
    assert "Secret/changed" in said
    assert "Secret/same" not in said
    assert "-          value: (masked " in said


def test_a_tree_that_does_not_render_is_reported_in_one_line(remote: Remote, delivery: Delivery) -> None:
    change(remote, "overlays/dev/kustomization.yaml", "../../base", "../../nowhere")
    fetch(remote)
    said = delivery("diff", "overlays/dev", "--old", "origin/main~1", "--new", "origin/main")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("delivery: overlays/dev: ")
    assert delivery("diff", "--old", "no-such-commit").err == "delivery: no-such-commit is not a commit of this repository"
