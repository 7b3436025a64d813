"""`python -m api.scripted_server`: the real server as a process of its own, around a scripted service.

The settings come from the environment. It prints its URL.
"""

import sys

from api.scripted_service import Script, ScriptedService

from llm_api.server.server import run
from llm_api.settings import Settings
from llm_api.telemetry.logs import configure_logs
from llm_api.telemetry.metrics import Metrics

SLOW = Script(words=tuple(f" {i}" for i in range(60)), pause=0.05)
FLOOD = Script(words=("x" * 1_000_000,) * 50)


def main() -> int:
    settings = Settings()
    configure_logs(settings.log_level, settings.log_format)
    service = ScriptedService(max_num_seqs=32)
    service.scripts |= {"slow": SLOW, "forever": Script(hold_after=1), "crash": Script(fail_after=0), "flood": FLOOD}
    return run(settings, service, Metrics(), lambda addresses: print(addresses.url, flush=True))


if __name__ == "__main__":
    sys.exit(main())
