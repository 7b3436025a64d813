"""The suites that CI runs, and the parts of the repository that cannot change a suite's result."""

from dataclasses import dataclass

KUBERNETES = ("base/", "clusters/", "components/", "delivery/", "overlays/", "platform/", "tools/schemas/")
PAGES = ("docs/", ".github/", "tools/openai_types/")
TESTED_BY_MAKE_TEST = ("bump", "checks", "ci", "manifests", "platform", "promotion", "repository")
UNIT_TESTS = ("apps/llm-api/tests/", *(f"tests/{name}/" for name in TESTED_BY_MAKE_TEST))
ON_A_CLUSTER = ("tests/cluster/", "tests/rollout/")


@dataclass(frozen=True)
class Suite:
    """One make target.

    unrelated: path prefixes of tracked files that cannot change its result. Everything else is one of its inputs, new files included.
    skippable: may be left out when it has already passed with the same inputs on this machine.
    uses_cluster: the cluster and the image are inputs, too.
    niceness: as of nice(1). Rollouts and restarts of the other lane lose requests when replicas start and end much slower than usual.
    """

    name: str
    unrelated: tuple[str, ...] = ()
    skippable: bool = True
    uses_cluster: bool = False
    niceness: int = 0


TEST = Suite("test", skippable=False, niceness=5)
SMOKE = Suite(
    "smoke",
    (*KUBERNETES, *PAGES, *UNIT_TESTS, *ON_A_CLUSTER, "proxy/", "tests/clients/", "tests/contract/", "tests/reverse_proxy/"),
    niceness=5,
)
CLIENTS = Suite(
    "clients",
    (*KUBERNETES, *PAGES, *ON_A_CLUSTER, "proxy/", "tests/contract/", "tests/fresh_start/", "tests/reverse_proxy/"),
    niceness=5,
)
CONTRACT = Suite(
    "contract",
    (*KUBERNETES, *PAGES, *ON_A_CLUSTER, "proxy/", "tests/clients/", "tests/fresh_start/", "tests/reverse_proxy/"),
    niceness=5,
)
PROXY = Suite("e2e-proxy", (*KUBERNETES, *PAGES, *UNIT_TESTS, *ON_A_CLUSTER, "tests/clients/", "tests/contract/", "tests/fresh_start/"))
NOT_IN_THE_CLUSTER = ("docs/", "proxy/", "tests/clients/", "tests/contract/", "tests/fresh_start/", "tests/reverse_proxy/")
IMAGE = Suite("image", NOT_IN_THE_CLUSTER, uses_cluster=True)
CLUSTER = Suite("e2e", NOT_IN_THE_CLUSTER, uses_cluster=True)
DELIVERY = Suite("e2e-delivery", NOT_IN_THE_CLUSTER, uses_cluster=True)

# Two lanes run at the same time. The suites of a lane run one after another; the second lane mostly waits for rollouts. When its suites
# have ended, it takes those that are left of the first lane, from the last one on: the longest.
ON_THIS_MACHINE = (TEST, SMOKE, CLIENTS, CONTRACT, PROXY)
ON_THE_CLUSTER = (CLUSTER, DELIVERY)
