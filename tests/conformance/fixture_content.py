"""What the fixture server holds: pixels, resources, prompts, and the input schemas of its tools."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any

import mcp_types as types

Json = dict[str, Any]

NO_ARGUMENTS: Json = {"type": "object", "properties": {}, "additionalProperties": False}


def _png() -> bytes:
    """A red image of one pixel."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\x00\xff\x00\x00")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def _wav() -> bytes:
    """Four samples of silence, mono, 8 kHz."""
    form = struct.pack("<HHIIHH", 1, 1, 8000, 8000, 1, 8)
    samples = b"\x80" * 4
    chunks = b"WAVE" + b"fmt " + struct.pack("<I", len(form)) + form
    chunks += b"data" + struct.pack("<I", len(samples)) + samples
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks


PNG = base64.b64encode(_png()).decode()
WAV = base64.b64encode(_wav()).decode()


def text(words: str) -> types.TextContent:
    return types.TextContent(text=words)


def image() -> types.ImageContent:
    return types.ImageContent(data=PNG, mime_type="image/png")


def embedded(uri: str, mime_type: str, words: str) -> types.EmbeddedResource:
    return types.EmbeddedResource(
        resource=types.TextResourceContents(uri=uri, mime_type=mime_type, text=words)
    )


# --- resources ------------------------------------------------------------------------------------

RESOURCES = [
    types.Resource(uri="test://static-text", name="static-text", description="words", mime_type="text/plain"),
    types.Resource(
        uri="test://static-binary", name="static-binary", description="a pixel", mime_type="image/png"
    ),
    types.Resource(
        uri="test://watched-resource", name="watched", description="may change", mime_type="text/plain"
    ),
]

TEMPLATES = [
    types.ResourceTemplate(
        uri_template="test://template/{id}/data",
        name="template",
        description="one record",
        mime_type="application/json",
    )
]


def read(uri: str) -> types.TextResourceContents | types.BlobResourceContents | None:
    """The contents of a resource, or None where there is none."""
    if uri == "test://static-text":
        words = "This is the content of the static text resource."
        return types.TextResourceContents(uri=uri, mime_type="text/plain", text=words)
    if uri == "test://static-binary":
        return types.BlobResourceContents(uri=uri, mime_type="image/png", blob=PNG)
    if uri == "test://watched-resource":
        return types.TextResourceContents(uri=uri, mime_type="text/plain", text="as it was")
    head, _, tail = uri.partition("test://template/")
    number, _, rest = tail.partition("/")
    if head == "" and number and rest == "data":
        words = f'{{"id":"{number}","templateTest":true,"data":"Data for ID: {number}"}}'
        return types.TextResourceContents(uri=uri, mime_type="application/json", text=words)
    return None


# --- prompts --------------------------------------------------------------------------------------


def _argument(name: str, description: str) -> types.PromptArgument:
    return types.PromptArgument(name=name, description=description, required=True)


PROMPTS = [
    types.Prompt(name="test_simple_prompt", description="no arguments"),
    types.Prompt(
        name="test_prompt_with_arguments",
        description="two arguments",
        arguments=[_argument("arg1", "the first"), _argument("arg2", "the second")],
    ),
    types.Prompt(
        name="test_prompt_with_embedded_resource",
        description="holds a resource",
        arguments=[_argument("resourceUri", "the resource to hold")],
    ),
    types.Prompt(name="test_prompt_with_image", description="holds an image"),
    types.Prompt(name="test_input_required_result_prompt", description="asks before it answers"),
]


def prompt(name: str, arguments: dict[str, str]) -> types.GetPromptResult | None:
    """The messages of a prompt that needs nothing but its arguments, or None."""
    contents: list[types.ContentBlock]
    if name == "test_simple_prompt":
        contents = [text("This is a simple prompt for testing.")]
    elif name == "test_prompt_with_arguments":
        first, second = arguments.get("arg1", ""), arguments.get("arg2", "")
        contents = [text(f"Prompt with arguments: arg1='{first}', arg2='{second}'")]
    elif name == "test_prompt_with_embedded_resource":
        uri = arguments.get("resourceUri", "test://embedded-resource")
        contents = [
            embedded(uri, "text/plain", "Embedded resource content for testing."),
            text("Please process the embedded resource above."),
        ]
    elif name == "test_prompt_with_image":
        contents = [image(), text("Please analyze the image above.")]
    else:
        return None
    return types.GetPromptResult(
        description=name, messages=[types.PromptMessage(role="user", content=one) for one in contents]
    )


# --- forms and schemas ----------------------------------------------------------------------------


def form(required: list[str] | None = None, /, **properties: Json) -> Json:
    """The schema of a form; every field is required unless `required` says otherwise."""
    return {"type": "object", "properties": properties, "required": required or list(properties)}


CONTACT = form(
    username={"type": "string", "description": "how to call you"},
    email={"type": "string", "description": "where to write to"},
)

DEFAULTS = form(
    [],
    name={"type": "string", "description": "name", "default": "John Doe"},
    age={"type": "integer", "description": "age", "default": 30},
    score={"type": "number", "description": "score", "default": 95.5},
    status={"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
    verified={"type": "boolean", "description": "verified", "default": True},
)


def _titled(kind: str) -> list[Json]:
    return [{"const": f"value{n}", "title": f"{kind} {n}"} for n in (1, 2, 3)]


ENUMS = form(
    [],
    untitledSingle={"type": "string", "enum": ["option1", "option2", "option3"]},
    titledSingle={"type": "string", "oneOf": _titled("Option")},
    legacyEnum={
        "type": "string",
        "enum": ["opt1", "opt2", "opt3"],
        "enumNames": ["Option One", "Option Two", "Option Three"],
    },
    untitledMulti={"type": "array", "items": {"type": "string", "enum": ["option1", "option2", "option3"]}},
    titledMulti={"type": "array", "items": {"anyOf": _titled("Choice")}},
)

# The schema that the suite publishes: it looks for each of these keywords in the list.
WIDE_SCHEMA: Json = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}

MIRRORED_SCHEMA: Json = {
    "type": "object",
    "properties": {"region": {"type": "string", "x-mcp-header": "Region"}},
    "required": ["region"],
}


def one_string(name: str) -> Json:
    """The schema of a tool that takes one string."""
    return {"type": "object", "properties": {name: {"type": "string"}}, "required": [name]}
