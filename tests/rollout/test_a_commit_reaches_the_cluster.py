"""A commit to main is built, bumped by digest, synced, rolled out under load and smoke-tested, and no request is lost."""

import httpx2
import pytest
from cluster.kube import Kube
from counted_load import REQUESTS, STREAMS, Load
from rollout.argocd import Application
from rollout.repository import Repository
from rollout.stopwatch import Stopwatch

MARK = "The change that was committed."


@pytest.mark.timeout(900)
async def test_a_commit_serves_with_no_request_lost(
    dev_app: Application, repository: Repository, dev_kube: Kube, image: str, dev_url: str
) -> None:
    assert MARK not in httpx2.get(f"{dev_url}/openapi.json").text
    repository.edit("apps/llm-api/src/llm_api/app.py", r'^DESCRIPTION = ".*"', f'DESCRIPTION = "{MARK}"')
    watch, smoked = Stopwatch(), smoke_tests_passed(dev_kube)
    repository.push("Say something else")
    built = repository.build(image.partition("@")[0])
    watch.step("image built and pushed")
    commit = repository.bump(built)
    watch.step("bumped")

    def deliver() -> None:
        dev_app.wait(commit, 400)

    outcome = await Load(dev_url).around(deliver)
    watch.step("synced, rolled out, smoked")
    assert MARK in httpx2.get(f"{dev_url}/openapi.json").text
    assert outcome.lost == {}
    assert outcome.answered >= REQUESTS
    assert outcome.streams >= STREAMS
    assert smoke_tests_passed(dev_kube) > smoked
    # If the Job stayed, Argo CD could count its success for the next one.
    dev_kube.until(lambda: dev_kube.get("jobs")["items"] == [], 30)
    [container] = dev_kube.get("deployment", "llm-api")["spec"]["template"]["spec"]["containers"]
    assert container["image"].endswith(built.partition("@")[2])


@pytest.mark.timeout(900)
async def test_a_delivery_without_the_drain_loses_requests(dev_app: Application, repository: Repository, dev_url: str) -> None:
    repository.edit("base/deployment.yaml", r"^( +)terminationGracePeriodSeconds: 340$", r"\1terminationGracePeriodSeconds: 1")
    repository.edit("base/deployment.yaml", r"^( +)seconds: 10 #", r"\1seconds: 0 #")
    dev_app.wait(repository.push("No drain"), 400)
    repository.edit("base/deployment.yaml", r"value: json$", "value: console")
    commit = repository.push("Another log format")
    outcome = await Load(dev_url).around(lambda: dev_app.wait(commit, 400))
    assert outcome.lost.total() > 0
    dev_app.wait(repository.revert(2), 400)


def smoke_tests_passed(dev_kube: Kube) -> set[str]:
    """UIDs of completed smoke test Jobs. The Jobs are deleted; their events stay for an hour."""
    events = dev_kube.get("events", "--field-selector", "involvedObject.kind=Job,involvedObject.name=llm-api-smoke,reason=Completed")[
        "items"
    ]
    return {event["involvedObject"]["uid"] for event in events}
