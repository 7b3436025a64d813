"""How a model writes arguments that are not one JSON object: a key and a value, one after the other."""

from dataclasses import dataclass

MARKS = frozenset('<>"=')


@dataclass(frozen=True, slots=True)
class KeyedStyle:
    """A parameter is: before_key KEY after_key VALUE after_value. Between two parameters is the separator.

    raw_text: strings are written as they are, up to after_value, which no string may contain. Else they are JSON, as other values are.
    """

    before_key: str
    after_key: str
    after_value: str
    separator: str = ""
    raw_text: bool = True

    @property
    def texts(self) -> tuple[str, ...]:
        return (self.before_key, self.after_key, self.after_value, self.separator)

    def can_write(self, key: str) -> bool:
        """Whether the key's end would be found."""
        marks = MARKS.intersection(self.before_key + self.after_key)
        return key.isprintable() and bool(key) and not marks.intersection(key) and not key.startswith(")")
