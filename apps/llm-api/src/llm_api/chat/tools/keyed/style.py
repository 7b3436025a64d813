"""How a model writes arguments that are not one JSON object: a key and a value, one after the other."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeyedStyle:
    """A parameter is: before_key KEY after_key VALUE after_value. Between two parameters is the separator.

    raw_text: strings are written as they are, up to after_value, which no string may contain. Else they are JSON, as other values are.
    identifiers: keys are names in a program, so that others cannot be written.
    """

    before_key: str
    after_key: str
    after_value: str
    separator: str = ""
    raw_text: bool = True
    identifiers: bool = False

    @property
    def texts(self) -> tuple[str, ...]:
        return (self.before_key, self.after_key, self.after_value, self.separator)

    def can_write(self, key: str) -> bool:
        if self.identifiers:
            return key.isidentifier()
        return bool(key) and not any(character in '<>"&\\' or not character.isprintable() for character in key)
