"""What goes wrong with a chat template, in words for the client."""


class ChatTemplateError(Exception):
    """The messages cannot become a prompt: the template refuses them, fails on them, or there is none."""
