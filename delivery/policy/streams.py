"""What every proxy in front of the service must do, whoever makes it."""

IDLE = 3600
BODY_LIMIT = 100 * 1024 * 1024
STREAM = "a buffered stream reaches the client all at once, at its end"
PLAIN = "API keys would travel in the clear"
BODY = "the service answers a body that is too large as the API does, the proxy would not"
TWICE = "a request that began generating would be sent again"


def keeps_too_long(ours: float) -> str:
    return f"the service closes an idle connection after KEEP_ALIVE_TIMEOUT {ours:g} s: a proxy that keeps it longer answers 502"
