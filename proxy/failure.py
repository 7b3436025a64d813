"""What stops a command: one line for the person who runs it."""


class ProxyError(Exception):
    """Names what is wrong and the fix."""
