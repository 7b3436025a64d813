"""What git prints: whether it is worth another try, and why it failed in one line that anybody may read."""

import re

NETWORK = re.compile(
    r"could not resolve (host|proxy)|name resolution|failed to connect|couldn't connect|connection (refused|reset|timed out|closed)|"
    r"timed out|network is unreachable|no route to host|early eof|hung up unexpectedly|rpc failed|gnutls|ssl_(read|connect|error)|"
    r"unexpected disconnect|empty reply from server|requested url returned error: (429|5\d\d)",
    re.IGNORECASE,
)
ANSWERED = re.compile(r"(returned error:|HTTP) 4(?!08|29)\d\d")
USERINFO = re.compile(r"(?<=://)[^\s'\"]*@")


def redacted(text: str) -> str:
    """Without user and password in addresses: either may be a token."""
    return USERINFO.sub("***@", text)


def of_network(told: str) -> bool:
    """Whether the remote was not reached, or broke off: nothing was refused, and another try may succeed."""
    ours = "\n".join(line for line in told.splitlines() if not line.startswith(("remote:", "!")))
    return bool(NETWORK.search(ours)) and not ANSWERED.search(ours)


def reason(told: str) -> str:
    """The lines that say why, without git's hints."""
    kept = [
        line.removeprefix("remote:").strip()
        for line in redacted(told).splitlines()
        if line.startswith(("remote:", "error:", "fatal:", "!", "ssh:"))
    ]
    return "; ".join(dict.fromkeys(line for line in kept if line)) or "it says nothing more"
