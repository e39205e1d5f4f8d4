"""The reference of an API as a page: its OpenAPI schema, read into what a template shows.

Pure: a schema goes in, rows come out. Nothing here knows which contract it is.
"""

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle, groupby
from typing import Any

from django.utils.text import slugify

Schema = Mapping[str, Any]

_FORMATS = {"date-time": "time (RFC 3339)", "date": "date", "uuid": "UUID", "uri": "URL", "binary": "bytes"}
_FIRST_ERROR = 400


@dataclass(frozen=True, slots=True)
class Word:
    """A piece of what a kind is called; with the name of a shape when it leads there."""

    text: str
    shape: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter, or a field of a shape."""

    name: str
    kind: list[Word]
    is_required: bool
    description: str
    place: str = ""
    default: str = ""

    @property
    def said(self) -> list[tuple[str, bool]]:
        """Return the description in pieces, each with whether it stands in backticks."""
        return list(zip(self.description.split("`"), cycle((False, True)), strict=False))


@dataclass(frozen=True, slots=True)
class Shape:
    """One of the schema's objects."""

    name: str
    description: str
    kind: list[Word]
    fields: list[Field]
    example: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A status that succeeds, and what comes with it."""

    status: str
    kind: list[Word]
    media: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One method at one path."""

    anchor: str
    method: str
    path: str
    summary: str
    description: str
    parameters: list[Field]
    body: list[Word]
    answers: list[Answer]
    errors: list[str]
    curl: str
    link: str
    """Where a browser that is signed in may simply look; empty when the path wants to be filled in, or it is no GET."""

    @property
    def steps(self) -> list[str]:
        """Return the path in pieces, between which its line may break."""
        return self.path.split("/")


@dataclass(frozen=True, slots=True)
class Group:
    """Operations about the same thing."""

    name: str
    anchor: str
    operations: list[Operation] = field(default_factory=list)


def groups(schema: Schema, *, root: str) -> list[Group]:
    """Return all operations by their tag, in the order of the alphabet; `root` is the server's address."""
    shapes = schema.get("components", {}).get("schemas", {})
    found = sorted(_operations(schema, shapes, root), key=lambda pair: pair[0])
    return [
        Group(tag, f"about-{slugify(tag)}", [operation for _, operation in those])
        for tag, those in groupby(found, key=lambda pair: pair[0])
    ]


def shapes(schema: Schema) -> list[Shape]:
    """Return the objects that the operations speak of, by name."""
    return [
        Shape(name, one.get("description", ""), kind_of(one), _fields(one), _example(one))
        for name, one in sorted(schema.get("components", {}).get("schemas", {}).items())
    ]


def unwrapped(text: str) -> str:
    """Return markdown whose paragraphs are lines: in a docstring they are broken where its lines end."""
    return re.sub(r"(?<=\S)\n(?=\S)", " ", text.strip())


def kind_of(schema: Schema) -> list[Word]:
    """Return what a value is, in words, with the names of other shapes apart so that they can be links."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return [Word(name.replace("_", " ").strip(), name)]
    for many, between in (("anyOf", " or "), ("oneOf", " or "), ("allOf", " and ")):
        if many in schema:
            return _joined([kind_of(one) for one in schema[many]], between)
    if "enum" in schema:
        return [Word("one of " + ", ".join(json.dumps(value) for value in schema["enum"]))]
    return _of_type(schema)


def _of_type(schema: Schema) -> list[Word]:
    kind = schema.get("type", "any JSON")
    if kind == "array":
        return [Word("list of "), *kind_of(schema.get("items") or {})]
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return [Word("object of "), *kind_of(schema["additionalProperties"])]
    if kind == "string":
        kind = _FORMATS.get(schema.get("format", ""), kind)
    if "const" in schema:
        kind = json.dumps(schema["const"])
    return [Word(f"{kind}{_bounds(schema)}")]


def _operations(schema: Schema, known: Schema, root: str) -> Iterator[tuple[str, Operation]]:
    for path, methods in schema["paths"].items():
        for method, told in methods.items():
            parameters = [
                Field(
                    one["name"],
                    kind_of(one["schema"]),
                    bool(one.get("required")),
                    one.get("description") or _said_inside(one["schema"]),
                    one["in"],
                    _default(one["schema"]),
                )
                for one in told.get("parameters", [])
            ]
            body = told.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
            answers = told["responses"].items()
            yield (
                (told.get("tags") or ["Other"])[0],
                Operation(
                    anchor=told["operationId"],
                    method=method.upper(),
                    path=path,
                    summary=told.get("summary", ""),
                    description=unwrapped(told.get("description", "")),
                    parameters=parameters,
                    body=kind_of(body) if body else [],
                    answers=[_answer(status, one) for status, one in answers if int(status) < _FIRST_ERROR],
                    errors=[status for status, _ in answers if int(status) >= _FIRST_ERROR],
                    curl=_curl(method.upper(), f"{root}{path}", _example_of(body, known) if body else ""),
                    link=path if method == "get" and not any(one.is_required for one in parameters) else "",
                ),
            )


def _answer(status: str, told: Schema) -> Answer:
    for media, content in told.get("content", {}).items():
        schema = content.get("schema") or {}
        return Answer(status, kind_of(schema) if schema else [], "" if media == "application/json" else media)
    return Answer(status, [], "")


def _fields(schema: Schema) -> list[Field]:
    required = schema.get("required", [])
    return [
        Field(name, kind_of(one), name in required, one.get("description") or _said_inside(one), "", _default(one))
        for name, one in schema.get("properties", {}).items()
    ]


def _said_inside(schema: Schema) -> str:
    """Return what is said of the one alternative that is not null."""
    return next((str(one["description"]) for one in schema.get("anyOf", []) if "description" in one), "")


def _default(schema: Schema) -> str:
    value = schema.get("default")
    return "" if value is None or value == "" else json.dumps(value, ensure_ascii=False)


def _bounds(schema: Schema) -> str:
    low, high = (
        schema.get("minimum", schema.get("exclusiveMinimum")),
        schema.get("maximum", schema.get("exclusiveMaximum")),
    )
    if low is not None and high is not None:
        return f", {low:,} to {high:,}"
    if low is not None:
        return f", {low:,} or more"
    if high is not None:
        return f", at most {high:,}"
    longest = schema.get("maxLength", schema.get("maxItems"))
    return f", at most {longest:,}" if longest is not None else ""


def _joined(kinds: Sequence[list[Word]], between: str) -> list[Word]:
    words: list[Word] = []
    for number, kind in enumerate(kinds):
        words += [*([Word(between)] if number else []), *kind]
    return words


def _example_of(schema: Schema, known: Schema) -> str:
    """Return the first example of a body, on one line, by its own or its parts'."""
    if "$ref" in schema:
        return _example_of(known[schema["$ref"].rpartition("/")[2]], known)
    if schema.get("examples"):
        return json.dumps(schema["examples"][0], ensure_ascii=False)
    parts = [*schema.get("oneOf", []), *schema.get("anyOf", []), *schema.get("allOf", [])]
    if found := next(filter(None, (_example_of(one, known) for one in parts)), ""):
        return found
    told = {name: one["examples"][0] for name, one in schema.get("properties", {}).items() if one.get("examples")}
    return json.dumps(told, ensure_ascii=False) if told else ""


def _example(schema: Schema) -> str:
    examples = schema.get("examples") or []
    return json.dumps(examples[0], ensure_ascii=False, indent=2) if examples else ""


def _curl(method: str, url: str, body: str) -> str:
    """Return the request as lines for a shell, in which `$KODA_KEY` and the parts of the path are still to be set."""
    filled = url.replace("{", "$").replace("}", "")
    lines = [f'curl {"" if method == "GET" else f"-X {method} "}"{filled}"', '-H "Authorization: Bearer $KODA_KEY"']
    if body:
        lines += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(body)}"]
    return " \\\n  ".join(lines)
