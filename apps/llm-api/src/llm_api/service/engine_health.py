"""Whether an engine serves and whether it gets on, in the service's words."""

from llm_api.engine.messages import EnginePhase
from llm_api.service.engine import Engine
from llm_api.service.model_service import Phase, ServiceHealth

PHASES: dict[EnginePhase, Phase] = {"loading": "loading", "warming": "loading", "ready": "ready", "failed": "failed"}


def engine_health(engine: Engine, load_timeout: float, stall_timeout: float) -> ServiceHealth:
    """Loading and warm-up may be silent for `load_timeout` seconds, a ready engine for `stall_timeout`."""
    state, silence = engine.state, engine.seconds_since_progress()
    phase = PHASES[state.phase]
    progressing = phase != "failed" and silence < (load_timeout if phase == "loading" else stall_timeout)
    detail = state.error or (state.phase if progressing else f"{state.phase}, no progress for {silence:.0f} s")
    return ServiceHealth(phase, progressing, detail, state.info.max_num_seqs if state.info else None)
