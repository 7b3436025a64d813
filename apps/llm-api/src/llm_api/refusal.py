"""Why the service does not start. Every module's own kinds derive from this one; docs/runbook.md lists the exit codes."""

EX_DATAERR = 65  # sysexits.h: a file of the model is at fault, or the model is not supported
EX_CONFIG = 78  # a setting is at fault, or the machine is too small for it


class Refusal(Exception):
    """The message is one line for the operator. `exit_code` is that of the process, so that a script can tell the kinds apart."""

    exit_code = EX_DATAERR

    def __init__(self, message: str, exit_code: int | None = None) -> None:
        super().__init__(" ".join(message.split()))
        self.exit_code = exit_code or type(self).exit_code
