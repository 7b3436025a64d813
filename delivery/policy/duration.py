"""Durations as Kubernetes and NGINX write them."""

import re

SECONDS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0}
PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)?")


def seconds(text: object) -> float | None:
    """`90`, `60s`, `1h30m`; None for anything else."""
    written = str(text)
    if not re.fullmatch(rf"(?:{PART.pattern})+", written):
        return None
    return sum(float(number) * SECONDS[unit] for number, unit in PART.findall(written))
