"""What requests are made of: bodies, and text and JSON that PostgreSQL can hold."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict

MAX_DEPTH = 32  # levels of a JSON object: what is deeper fails in the middle of storing it
UNSTORABLE = "Text may hold neither NUL (\\u0000) nor half of a surrogate pair."


def is_storable(text: str) -> bool:
    """Whether PostgreSQL can hold it: NUL and lone surrogates pass any JSON parser and are refused there."""
    return "\0" not in text and (text.isascii() or not any("\ud800" <= each <= "\udfff" for each in text))


def _storable_text(value: str) -> str:
    if not is_storable(value):
        raise ValueError(UNSTORABLE)
    return value


def _storable_json(value: Any) -> Any:
    level = [value]
    for _ in range(MAX_DEPTH):
        deeper: list[Any] = []
        for each in level:
            if isinstance(each, str):
                _storable_text(each)
            elif isinstance(each, dict):
                deeper += [*each.keys(), *each.values()]
            elif isinstance(each, list):
                deeper += each
        if not deeper:
            return value
        level = deeper
    raise ValueError(f"This is nested deeper than {MAX_DEPTH} levels.")


# For schemas and parameters: text, and a JSON object, that can be stored.
Storable = AfterValidator(_storable_text)  # after limits of length, so that theirs are the first to be told
Text = Annotated[str, Storable]
JsonObject = Annotated[dict[str, Any], AfterValidator(_storable_json)]


class Body(BaseModel):
    """Base of what a request sends. A name that is not known is refused: a misspelt one would lose its value.

    Not ninja's Schema, which reads attributes of anything, and calls each field of a list "missing".
    """

    model_config = ConfigDict(extra="forbid")
