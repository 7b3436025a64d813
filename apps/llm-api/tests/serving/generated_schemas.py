"""Generates JSON schemas: as clients write them, and with any keywords."""

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

Schema = dict[str, Any]

NAMES = st.sampled_from(["name", "id", "city", "unit", "créé", "a b", 'quo"te', "$ref", "type", "x-y", "1", "items"])
PATTERNS = st.sampled_from(
    ["^[a-z]+$", "^[A-Z]{2}[0-9]{1,4}$", r"^\d{3}-\d{4}$", "^(yes|no)$", "ab", "^#?[0-9a-f]{6}$", r"^\S{1,8}$", "[aeiou]$"]
)
FORMATS = st.sampled_from(["date-time", "date", "time", "email", "uuid", "ipv4", "ipv6", "duration", "hostname", "uri", "phone"])
LITERALS = st.one_of(
    st.none(), st.booleans(), st.integers(-999, 999), st.text(max_size=8), st.sampled_from([0.5, -2.25, "", [], {}, [1, "a"], {"b": None}])
)
ANNOTATIONS: SearchStrategy[Schema] = st.sampled_from(
    [{}, {}, {}, {"title": "A title"}, {"description": 'Says "what"\nit is'}, {"default": None}, {"examples": [1]}, {"deprecated": True}]
)
TYPES = st.sampled_from(["array", "boolean", "integer", "null", "number", "object", "string"])
SMALL = st.integers(0, 6)
MAX_DEPTH = 3


def generate(strategy: SearchStrategy[Schema], count: int) -> list[Schema]:
    """The same schemas for the same `count`."""
    found: list[Schema] = []

    @settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True)
    @given(strategy)
    def collect(schema: Schema) -> None:
        found.append(schema)

    collect()
    return found


@st.composite
def client_schemas(draw: DrawFn) -> Schema:
    """Objects with definitions, as pydantic, zod and people write them."""
    names = draw(st.lists(st.sampled_from(["Node", "Unit", "a b"]), max_size=2, unique=True))
    place = draw(st.sampled_from(["$defs", "definitions"]))
    references = [f"#/{place}/{name.replace(' ', '%20')}" for name in names]
    schema = draw(_objects(0, references))
    if names:
        schema[place] = {name: draw(_objects(1, references) if name == "Node" else _schemas(1, [])) for name in names}
    return schema


def any_schemas() -> SearchStrategy[Schema]:
    """Any keywords with values of the right types, most of them without effect on each other."""
    inner: SearchStrategy[Schema] = st.deferred(any_schemas)
    leaf = st.fixed_dictionaries({"type": TYPES})
    some = st.lists(leaf | inner, min_size=1, max_size=2)
    named = st.dictionaries(st.sampled_from(["a", "b", "type"]), leaf | inner, max_size=2)
    keywords: dict[str, SearchStrategy[Any]] = {
        "type": TYPES,
        **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"), SMALL),
        **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), st.integers(-99, 99)),
        **dict.fromkeys(("items", "additionalProperties", "not", "contains", "if", "then", "else", "propertyNames"), leaf | inner),
        **dict.fromkeys(("anyOf", "oneOf", "allOf"), some),
        **dict.fromkeys(("properties", "patternProperties"), named),
        "required": st.lists(st.sampled_from(["a", "b"]), max_size=2, unique=True),
        "enum": st.lists(LITERALS, min_size=1, max_size=3),
        "const": LITERALS,
        "uniqueItems": st.booleans(),
        "multipleOf": st.integers(1, 9),
        "pattern": PATTERNS,
        "format": FORMATS,
    }
    chosen = st.lists(st.sampled_from(sorted(keywords)), min_size=1, max_size=4, unique=True)
    return chosen.flatmap(lambda names: st.fixed_dictionaries({name: keywords[name] for name in names}))


@st.composite
def _schemas(draw: DrawFn, depth: int, references: list[str]) -> Schema:
    kinds: list[Callable[[int, list[str]], SearchStrategy[Schema]]] = [_strings, _numbers, _literals]
    if depth < MAX_DEPTH:
        kinds += [_objects, _objects, _arrays, _unions]
    if references and depth:
        kinds.append(_references)
    schema = draw(draw(st.sampled_from(kinds))(depth, references))
    return {**schema, **draw(ANNOTATIONS)}


@st.composite
def _objects(draw: DrawFn, depth: int, references: list[str]) -> Schema:
    names = draw(st.lists(NAMES, max_size=4, unique=True))
    schema: Schema = {"type": "object", "properties": {name: draw(_schemas(depth + 1, references)) for name in names}}
    required = [name for name in names if draw(st.booleans())]
    # a required reference to itself would need an endless text
    schema["required"] = [name for name in required if "$ref" not in str(schema["properties"][name])]
    extra = draw(st.sampled_from(["", "", "no", "no", "strings", "yes"]))
    if extra:
        schema["additionalProperties"] = {"no": False, "strings": {"type": "string"}, "yes": True}[extra]
    return schema


@st.composite
def _arrays(draw: DrawFn, depth: int, references: list[str]) -> Schema:
    schema: Schema = {"type": "array"}
    if draw(st.integers(0, 4)):
        schema["items"] = draw(_schemas(depth + 1, references))
    else:
        schema["prefixItems"] = draw(st.lists(_schemas(depth + 1, []), min_size=1, max_size=3))
        schema["items"] = draw(st.sampled_from([False, {"type": "integer"}]))
    fewest = 0 if "$ref" in str(schema) else draw(SMALL)
    bounds = {"minItems": fewest} if draw(st.booleans()) and schema.get("items") is not False else {}
    return schema | bounds | ({"maxItems": fewest + draw(SMALL)} if draw(st.booleans()) else {})


@st.composite
def _unions(draw: DrawFn, depth: int, references: list[str]) -> Schema:
    keyword = draw(st.sampled_from(["anyOf", "anyOf", "anyOf", "allOf", "oneOf"]))
    if keyword == "anyOf":
        return {"anyOf": draw(st.lists(_schemas(depth + 1, references), min_size=1, max_size=3))}
    if keyword == "allOf":
        return {"allOf": [draw(_objects(depth + 1, []))]}
    return {
        "oneOf": [
            {"type": "object", "properties": {"kind": {"const": kind}} | {"value": draw(_schemas(depth + 1, []))}, "required": ["kind"]}
            for kind in ("a", "b")
        ]
    }


@st.composite
def _strings(draw: DrawFn, depth: int, references: list[str]) -> Schema:
    schema: Schema = {"type": draw(st.sampled_from(["string", "string", "string", ["string", "null"]]))}
    match draw(st.sampled_from(["", "", "length", "pattern", "format"])):
        case "length":
            fewest = draw(SMALL)
            schema |= {"minLength": fewest, "maxLength": fewest + draw(SMALL)}
        case "pattern":
            schema["pattern"] = draw(PATTERNS)
        case "format":
            schema["format"] = draw(FORMATS)
    return schema


@st.composite
def _numbers(draw: DrawFn, depth: int, references: list[str]) -> Schema:
    schema: Schema = {"type": draw(st.sampled_from(["integer", "number"]))}
    lowest = draw(st.one_of(st.integers(-1000, 1000), st.sampled_from([-0.5, 0.25, 1e3])))
    if draw(st.booleans()):
        schema[draw(st.sampled_from(["minimum", "exclusiveMinimum"]))] = lowest
    if draw(st.booleans()):
        schema[draw(st.sampled_from(["maximum", "exclusiveMaximum"]))] = lowest + draw(st.integers(2, 5000))
    if draw(st.integers(0, 5)) == 0:
        schema = {"type": "integer", "multipleOf": draw(st.sampled_from([1, 2, 5]))}
    return schema


@st.composite
def _literals(draw: DrawFn, depth: int, references: list[str]) -> Schema:
    simple: list[Schema] = [{"type": "boolean"}, {"type": "null"}, {"const": draw(LITERALS)}]
    return draw(st.sampled_from([*simple, {"enum": draw(st.lists(LITERALS, min_size=1, max_size=4))}]))


@st.composite
def _references(draw: DrawFn, depth: int, references: list[str]) -> Schema:
    return {"$ref": draw(st.sampled_from(references))}
