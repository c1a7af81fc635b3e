"""Writes the corpus of refused inputs, each beside its nearest accepted twin.

Run: `python tests/corpus/make.py [FOLDER]`. Needs nothing but the standard library and does not
import the package, so an error there cannot hide here.

`refused/<what is wrong>.json` and `accepted/<the same>.json` hold raw bytes. `manifest.json` names
the code, HTTP status and rule of each refusal and how the bytes arrive: `headers` (and
`twin_headers`), `batches` (a 2025-03-26 session). Inputs too large to store are given as
`generate` and `generate_twin`: `[before, repeated, count, after]` (joined as UTF-8 text).
"""

from __future__ import annotations

import gzip
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

PARSE, REQUEST, PARAMS, MISMATCH, VERSION = -32700, -32600, -32602, -32020, -32022
MIB = 1024 * 1024

CASES: list[dict[str, object]] = []
FILES: dict[str, bytes] = {}


def case(name: str, refused: str | bytes, accepted: str | bytes, code: int, rule: str, **how: object) -> None:
    """Add one refused input and its twin."""
    file = name.replace(" ", "-").replace("^", "-to-").replace("+", "-plus-") + ".json"
    for folder, content in (("refused", refused), ("accepted", accepted)):
        if f"{folder}/{file}".lower() in map(str.lower, FILES):
            raise ValueError(f"two cases are named {name}")
        FILES[f"{folder}/{file}"] = content.encode() if isinstance(content, str) else content
    CASES.append({"name": name, "file": file, "code": code, "status": 400, "rule": rule, **how})


def generated(
    name: str, refused: list[object], accepted: list[object], code: int, rule: str, status: int = 400
) -> None:
    """Add a case whose bytes are made when the test runs."""
    CASES.append(
        {
            "name": name,
            "code": code,
            "status": status,
            "rule": rule,
            "generate": refused,
            "generate_twin": accepted,
        }
    )


def call(arguments: str = '{"text":"hi"}') -> str:
    """A tools/call with these arguments."""
    return envelope(params=f'{{"name":"echo","arguments":{arguments}}}')


def envelope(
    *,
    jsonrpc: str = '"2.0"',
    ident: str | None = "1",
    method: str | None = '"tools/call"',
    params: str | None = None,
    more: str = "",
) -> str:
    """A message from the JSON text of its members; None leaves one out."""
    parts = [f'"jsonrpc":{jsonrpc}'] if jsonrpc else []
    parts += [
        f'"{key}":{value}'
        for key, value in (("id", ident), ("method", method), ("params", params))
        if value is not None
    ]
    return "{" + ",".join(parts + ([more] if more else [])) + "}"


def method(name: str, params: str | None, *, ident: str | None = "1") -> str:
    """A message of method `name`."""
    return envelope(ident=ident, method=json.dumps(name), params=params)


GOOD = call()
ECHO = '{"name":"echo","arguments":{"text":"hi"}}'
PING = envelope(method='"ping"')


def duplicate_keys() -> None:
    """One object that says two things under one key."""

    def dup(name: str, refused: str, accepted: str) -> None:
        case(f"duplicate key {name}", refused, accepted, PARSE, "(duplicate key)")

    dup("jsonrpc", envelope(params=ECHO, more='"jsonrpc":"2.0"'), GOOD)
    dup("id", envelope(params=ECHO, more='"id":2'), GOOD)
    dup("method", envelope(params=ECHO, more='"method":"ping"'), GOOD)
    dup("params", envelope(params=ECHO, more='"params":{}'), GOOD)
    dup("tool name", envelope(params='{"name":"echo","name":"danger"}'), envelope(params='{"name":"echo"}'))
    dup(
        "tool name escaped",
        envelope(params='{"name":"echo","n\\u0061me":"danger"}'),
        envelope(params='{"n\\u0061me":"echo"}'),
    )
    dup(
        "arguments",
        envelope(params='{"name":"echo","arguments":{},"arguments":{"a":1}}'),
        envelope(params='{"name":"echo","arguments":{"a":1}}'),
    )
    dup("inside arguments", call('{"amount":1,"amount":5000}'), call('{"amount":1,"amount2":5000}'))
    dup("inside arguments with one value", call('{"amount":1,"amount":1}'), call('{"amount":1}'))
    dup("deep inside arguments", call('{"a":[{"b":{"c":1,"c":2}}]}'), call('{"a":[{"b":{"c":1,"d":2}}]}'))
    dup("in an array", call('{"a":[{"k":1,"k":2}]}'), call('{"a":[{"k":1},{"k":2}]}'))
    dup("empty", call('{"":1,"":2}'), call('{"":1}'))
    dup(
        "in meta",
        envelope(params='{"name":"echo","_meta":{"progressToken":1,"progressToken":2}}'),
        envelope(params='{"name":"echo","_meta":{"progressToken":1}}'),
    )
    dup(
        "result",
        envelope(method=None, more='"result":{},"result":{"a":1}'),
        envelope(method=None, more='"result":{"a":1}'),
    )
    dup(
        "uri",
        method("resources/read", '{"uri":"file:///a","uri":"file:///b"}'),
        method("resources/read", '{"uri":"file:///a"}'),
    )


def twin_keys() -> None:
    """Two keys that a lenient parser takes for one."""

    def twin(name: str, refused: str, accepted: str) -> None:
        case(f"twin keys {name}", refused, accepted, PARSE, "(key twin)")

    twin(
        "name and Name",
        envelope(params='{"name":"delete_repo","Name":"list_x"}'),
        envelope(params='{"name":"delete_repo"}'),
    )
    twin(
        "method and METHOD",
        envelope(params=ECHO, more='"METHOD":"ping"'),
        envelope(params=ECHO, more='"verb":"ping"'),
    )
    twin(
        "arguments and Arguments",
        envelope(params='{"name":"pay","arguments":{"amount":5000},"Arguments":{"amount":1}}'),
        envelope(params='{"name":"pay","arguments":{"amount":5000}}'),
    )
    twin("params and Params", envelope(params=ECHO, more='"Params":{"name":"danger"}'), GOOD)
    twin("id and ID", envelope(params=ECHO, more='"ID":2'), GOOD)
    twin("in arguments by case", call('{"path":"/a","Path":"/b"}'), call('{"path":"/a","path_":"/b"}'))
    twin("in arguments by full width", call('{"path":"/a","\uff50ath":"/b"}'), call('{"path":"/a"}'))
    twin(
        "in arguments by escaped full width",
        call('{"path":"/a","\\uff50ath":"/b"}'),
        call('{"\\uff50ath":"/b"}'),
    )
    twin("in arguments by Kelvin sign", call('{"key":1,"\u212aey":2}'), call('{"key":1,"ley":2}'))
    twin("in arguments by long s", call('{"size":1,"\u017fize":2}'), call('{"size":1,"fize":2}'))
    twin("in arguments by NUL", call('{"path":"/a","path\\u0000":"/b"}'), call('{"path":"/a","path ":"/b"}'))
    twin(
        "in arguments by NUL in front", call('{"path":"/a","\\u0000path":"/b"}'), call('{"\\u0000path":"/b"}')
    )
    twin("in arguments by ligature", call('{"file":1,"\ufb01le":2}'), call('{"file":1,"f1le":2}'))
    twin(
        "in arguments by composition",
        call('{"caf\u00e9":1,"cafe\u0301":2}'),
        call('{"caf\u00e9":1,"cafe":2}'),
    )
    twin("in arguments by sharp s", call('{"strasse":1,"stra\u00dfe":2}'), call('{"strasse":1,"strase":2}'))
    twin("deep inside arguments", call('{"a":[[{"b":1,"B":2}]]}'), call('{"a":[[{"b":1},{"B":2}]]}'))
    twin(
        "in meta",
        envelope(params='{"name":"echo","_meta":{"progressToken":1,"progresstoken":2}}'),
        envelope(params='{"name":"echo","_meta":{"progressToken":1}}'),
    )
    twin(
        "uri and URI",
        method("resources/read", '{"uri":"file:///a","URI":"file:///b"}'),
        method("resources/read", '{"uri":"file:///a"}'),
    )


def prototype_keys() -> None:
    """A key that JavaScript drops, or takes for what an object inherits from."""

    def prototype(name: str, refused: str, accepted: str) -> None:
        case(f"prototype key {name}", refused, accepted, PARSE, "(prototype key)")

    prototype("in arguments", call('{"__proto__":{"path":"/etc"}}'), call('{"__Proto__":{"path":"/etc"}}'))
    prototype("deep inside", call('{"a":[{"__proto__":{"b":1}}]}'), call('{"a":[{"proto":{"b":1}}]}'))
    prototype("escaped", call('{"\\u005f_proto__":1}'), call('{"\\u005fproto__":1}'))
    prototype("in meta", envelope(params='{"name":"echo","_meta":{"__proto__":{}}}'), call("{}"))
    prototype(
        "in params",
        envelope(params='{"name":"echo","__proto__":{"arguments":{}}}'),
        envelope(params='{"name":"echo","arguments":{"constructor":{"prototype":{}}}}'),
    )


def protocol_keys() -> None:
    """A key that is not the protocol's but would be read as it."""

    def key(name: str, refused: str, accepted: str, code: int = PARAMS) -> None:
        case(f"key {name}", refused, accepted, code, "(protocol key)")

    key("METHOD alone", envelope(method=None, params=ECHO, more='"METHOD":"tools/call"'), GOOD, REQUEST)
    key("Jsonrpc", envelope(jsonrpc="", params=ECHO, more='"Jsonrpc":"2.0"'), GOOD, REQUEST)
    key(
        "Params",
        envelope(method='"ping"', more='"Params":{}'),
        envelope(method='"ping"', params="{}"),
        REQUEST,
    )
    key(
        "ID",
        envelope(ident=None, method='"notifications/initialized"', more='"ID":1'),
        envelope(ident=None, method='"notifications/initialized"'),
        REQUEST,
    )
    key("Result beside method", envelope(method='"ping"', more='"Result":{}'), PING, REQUEST)
    key("ERROR beside method", envelope(method='"ping"', more='"ERROR":{}'), PING, REQUEST)
    key(
        "method with NUL",
        envelope(method=None, params=ECHO, more='"method\\u0000":"tools/call"'),
        GOOD,
        REQUEST,
    )
    key("params with long s", envelope(method='"ping"', more='"param\u017f":{}'), PING, REQUEST)
    key("Name", envelope(params='{"Name":"echo"}'), envelope(params='{"name":"echo"}'))
    key("name with NUL", envelope(params='{"name\\u0000":"echo"}'), envelope(params='{"name":"echo"}'))
    key("name in full width", envelope(params='{"\uff4eame":"echo"}'), envelope(params='{"name":"echo"}'))
    key(
        "Arguments",
        envelope(params='{"name":"echo","Arguments":{}}'),
        envelope(params='{"name":"echo","arguments":{}}'),
    )
    key(
        "arguments with long s",
        envelope(params='{"name":"echo","argument\u017f":{}}'),
        envelope(params='{"name":"echo","arguments":{}}'),
    )
    key(
        "URI",
        method("resources/read", '{"URI":"file:///a"}'),
        method("resources/read", '{"uri":"file:///a"}'),
    )
    key("taskid", method("tasks/get", '{"taskid":"t"}'), method("tasks/get", '{"taskId":"t"}'))
    key(
        "taskId with Kelvin sign",
        method("tasks/get", '{"tas\u212aId":"t"}'),
        method("tasks/get", '{"taskId":"t"}'),
    )
    key(
        "requestid",
        method("notifications/cancelled", '{"requestid":1}', ident=None),
        method("notifications/cancelled", '{"requestId":1}', ident=None),
    )
    key("Cursor", method("tools/list", '{"Cursor":"a"}'), method("tools/list", '{"cursor":"a"}'))
    key("_META", method("tools/list", '{"_META":{}}'), method("tools/list", '{"_meta":{}}'))
    key(
        "progresstoken in meta",
        method("tools/list", '{"_meta":{"progresstoken":1}}'),
        method("tools/list", '{"_meta":{"progressToken":1}}'),
    )
    key(
        "protocol version in meta",
        method("tools/list", '{"_meta":{"io.modelcontextprotocol/ProtocolVersion":"2025-06-18"}}'),
        method("tools/list", '{"_meta":{"example.org/ProtocolVersion":"2025-06-18"}}'),
    )


def encodings() -> None:
    """Bytes that are not UTF-8 without a byte order mark."""

    def encoded(name: str, refused: bytes, accepted: str | bytes = GOOD) -> None:
        case(f"encoding {name}", refused, accepted, PARSE, "(encoding)")

    good = GOOD.encode()
    encoded("UTF-8 with BOM", b"\xef\xbb\xbf" + good)
    encoded("UTF-16 with BOM", b"\xff\xfe" + GOOD.encode("utf-16-le"))
    encoded("UTF-16 big endian with BOM", b"\xfe\xff" + GOOD.encode("utf-16-be"))
    encoded("UTF-16 little endian", GOOD.encode("utf-16-le"))
    encoded("UTF-16 big endian", GOOD.encode("utf-16-be"))
    encoded("UTF-32", GOOD.encode("utf-32-le"))
    encoded("Latin-1", call('{"text":"\u00e9"}').encode("latin-1"), call('{"text":"\u00e9"}'))
    encoded("invalid byte", good.replace(b"hi", b"h\xffi"))
    encoded("lone continuation byte", good.replace(b"hi", b"h\x80i"))
    encoded("overlong slash", good.replace(b"hi", b"\xc0\xaf"), good.replace(b"hi", b"/"))
    encoded("overlong NUL", good.replace(b"hi", b"\xc0\x80"), good.replace(b"hi", b"\\u0000"))
    encoded("truncated sequence", good.replace(b"hi", b"\xe2\x82"), good.replace(b"hi", b"\xe2\x82\xac"))
    encoded("surrogate in UTF-8", good.replace(b"hi", b"\xed\xa0\x80"), good.replace(b"hi", b"\xed\x9f\xbf"))
    encoded(
        "CESU-8 pair",
        good.replace(b"hi", b"\xed\xa0\xbd\xed\xb8\x80"),
        good.replace(b"hi", b"\xf0\x9f\x98\x80"),
    )
    encoded(
        "beyond Unicode", good.replace(b"hi", b"\xf4\x90\x80\x80"), good.replace(b"hi", b"\xf4\x8f\xbf\xbf")
    )
    packed = gzip.compress(good, mtime=0)
    encoded("gzip", packed[:9] + b"\x03" + packed[10:])  # the byte for the system differs by Python
    encoded("NUL at the end", good + b"\0", good + b"\n")
    encoded("NUL in a string", good.replace(b"hi", b"h\0i"), good.replace(b"hi", b"h\\u0000i"))


def syntax() -> None:
    """Texts that are not one JSON value."""

    def wrong(name: str, refused: str, accepted: str = GOOD) -> None:
        case(f"syntax {name}", refused, accepted, PARSE, "(syntax)")

    wrong("nothing", "")
    wrong("white space only", " \t\r\n", f" \t\r\n{GOOD}")
    wrong("cut short", GOOD[:-1])
    wrong("two values", GOOD + GOOD)
    wrong("two lines", f"{PING}\n{GOOD}", PING + "\n")
    wrong(
        "smuggled second message",
        '{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"x":\r' + GOOD + "\r}}}{}",
        '{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"x":\r' + GOOD + "\r}}}",
    )
    wrong("text after the value", GOOD + ";")
    wrong("trailing comma in object", call('{"a":1,}'), call('{"a":1}'))
    wrong("trailing comma in array", call('{"a":[1,]}'), call('{"a":[1]}'))
    wrong("single quotes", call("{'a':1}"), call('{"a":1}'))
    wrong("bare key", call("{a:1}"), call('{"a":1}'))
    wrong("line comment", GOOD + "// done")
    wrong("block comment", call('{/**/"a":1}'), call('{"a":1}'))
    wrong("raw tab in string", call('{"a":"\t"}'), call('{"a":"\\t"}'))
    wrong("raw LF in string", call('{"a":"x\ny"}'), call('{"a":"x\\ny"}'))
    wrong("raw CR in string", call('{"a":"x\ry"}'), call('{"a":"x\\ry"}'))
    wrong("unknown escape", call('{"a":"\\x41"}'), call('{"a":"\\u0041"}'))
    wrong("short escape", call('{"a":"\\u41"}'), call('{"a":"\\u0041"}'))
    wrong("signed escape", call('{"a":"\\u+041"}'), call('{"a":"\\u0041"}'))
    wrong("unended string", call('{"a":"x}'), call('{"a":"x"}'))
    wrong("plus sign", call('{"a":+1}'), call('{"a":1}'))
    wrong("leading zero", call('{"a":01}'), call('{"a":1}'))
    wrong("leading point", call('{"a":.5}'), call('{"a":0.5}'))
    wrong("trailing point", call('{"a":5.}'), call('{"a":5.0}'))
    wrong("empty exponent", call('{"a":1e}'), call('{"a":1e0}'))
    wrong("hexadecimal", call('{"a":0x10}'), call('{"a":16}'))
    wrong("Arabic digits", call('{"a":\u0661}'), call('{"a":1}'))
    wrong("capital True", call('{"a":True}'), call('{"a":true}'))
    wrong("undefined", call('{"a":undefined}'), call('{"a":null}'))
    wrong("no-break space", call('{"a":\u00a01}'), call('{"a": 1}'))
    wrong("form feed", call('{"a":\f1}'), call('{"a": 1}'))
    wrong("missing colon", call('{"a" 1}'), call('{"a":1}'))
    wrong("missing comma", call('{"a":1 "b":2}'), call('{"a":1,"b":2}'))
    wrong("crossed brackets", call('{"a":[1}]'), call('{"a":[1]}'))


def numbers() -> None:
    """Numbers that parsers read differently."""

    def number(name: str, refused: str, accepted: str) -> None:
        case(f"number {name}", refused, accepted, PARSE, "(number)")

    number("NaN", call('{"amount":NaN}'), call('{"amount":"NaN"}'))
    number("Infinity", call('{"amount":Infinity}'), call('{"amount":1e308}'))
    number("minus Infinity", call('{"amount":-Infinity}'), call('{"amount":-1e308}'))
    number("NaN as id", envelope(ident="NaN", params=ECHO), GOOD)
    number("of 401 digits", call('{"amount":%s}' % ("9" * 401)), call('{"amount":%s}' % ("9" * 400)))
    number(
        "of 401 digits with white space",
        call('{"amount": %s}' % ("9" * 401)),
        call('{"amount": %s}' % ("9" * 400)),
    )
    number(
        "of 401 characters after the point",
        call('{"amount":0.%s}' % ("1" * 399)),
        call('{"amount":0.%s}' % ("1" * 398)),
    )
    number("with a ten digit exponent", call('{"amount":1e9999999999}'), call('{"amount":1e999999999}'))
    number(
        "with a ten digit negative exponent",
        call('{"amount":1e-9999999999}'),
        call('{"amount":1e-999999999}'),
    )
    number("id of 5000 digits", envelope(ident="9" * 5000, params=ECHO), GOOD)


def surrogates() -> None:
    """Halves of surrogate pairs."""

    def half(name: str, refused: str, accepted: str) -> None:
        case(f"surrogate {name}", refused, accepted, PARSE, "(surrogate)")

    pair = call('{"a":"\\ud83d\\ude00"}')
    half("high alone", call('{"a":"\\ud800"}'), pair)
    half("low alone", call('{"a":"\\udc00"}'), pair)
    half("upper case escape", call('{"a":"\\uD800"}'), call('{"a":"\\uD83D\\uDE00"}'))
    half("pair the wrong way round", call('{"a":"\\ude00\\ud83d"}'), pair)
    half("high before a letter", call('{"a":"\\ud83dx"}'), pair)
    half("high before an escape", call('{"a":"\\ud83d\\u0041"}'), pair)
    half("two highs", call('{"a":"\\ud83d\\ud83d"}'), pair)
    half("in a key", call('{"\\ud800":1}'), call('{"\\ud83d\\ude00":1}'))
    half(
        "in the tool name",
        envelope(params='{"name":"\\ud800"}'),
        envelope(params='{"name":"\\ud83d\\ude00"}'),
    )
    half("in the method", method("x", None).replace('"x"', '"x\\udfff"'), method("x", None))
    half(
        "beside a number too large for a double",
        call('{"n":1e999,"a":"\\ud800"}'),
        call('{"n":1e999,"a":"\\ud83d\\ude00"}'),
    )


def sizes() -> None:
    """Too deep or too large; made when the test runs where they are big."""

    def nested(levels: int) -> str:
        return call('{"a":' + "[" * levels + "]" * levels + "}")

    case("depth 65 arrays", nested(62), nested(61), PARSE, "(depth)")
    case("depth 65 arrays with white space", nested(62) + " ", nested(61) + " ", PARSE, "(depth)")
    case(
        "depth 65 objects",
        call('{"a":' * 63 + "1" + "}" * 63),
        call('{"a":' * 62 + "1" + "}" * 62),
        PARSE,
        "(depth)",
    )
    case("depth 1000", nested(1000), nested(61), PARSE, "(depth)")
    generated(
        "depth 20000",
        ['{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":', "[", 20_000, ""],
        [GOOD, " ", 1, ""],
        PARSE,
        "(depth)",
    )
    generated(
        "depth 200000 unclosed objects", ["", '{"a":', 200_000, ""], [GOOD, " ", 1, ""], PARSE, "(depth)"
    )
    head, tail = '{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":"', '"}}'
    room = 4 * MIB - len(head) - len(tail)
    generated(
        "size one byte over 4 MiB",
        [head, "x", room + 1, tail],
        [head, "x", room, tail],
        REQUEST,
        "(size)",
        413,
    )
    generated(
        "size of white space",
        [GOOD, " ", 4 * MIB + 1 - len(GOOD), ""],
        [GOOD, " ", 4 * MIB - len(GOOD), ""],
        REQUEST,
        "(size)",
        413,
    )


def envelopes() -> None:
    """JSON that is not a JSON-RPC message."""

    def wrong(name: str, rule: str, refused: str, accepted: str = GOOD) -> None:
        case(name, refused, accepted, REQUEST, rule)

    for name, text in (("number", "1"), ("string", '"tools/call"'), ("null", "null"), ("true", "true")):
        wrong(f"envelope is a {name}", "(envelope)", text)
    wrong("jsonrpc missing", "(jsonrpc)", envelope(jsonrpc="", params=ECHO))
    for name, text in (
        ("1.0", '"1.0"'),
        ("a number", "2.0"),
        ("with a space", '"2.0 "'),
        ("null", "null"),
        ("2", '"2"'),
    ):
        wrong(f"jsonrpc is {name}", "(jsonrpc)", envelope(jsonrpc=text, params=ECHO))
    wrong("method empty", "(method)", envelope(method='""'), PING)
    for name, text in (("null", "null"), ("a number", "1"), ("an array", '["ping"]'), ("true", "true")):
        wrong(f"method is {name}", "(method)", envelope(method=text), PING)
    for name, text in (
        ("null", "null"),
        ("true", "true"),
        ("false", "false"),
        ("an object", "{}"),
        ("an array", "[1]"),
        ("1.0", "1.0"),
        ("1.5", "1.5"),
        ("1e2", "1e2"),
    ):
        wrong(f"id is {name}", "(id)", envelope(ident=text, params=ECHO), envelope(ident="1", params=ECHO))
    limit = 2**53
    wrong(
        "id 2^53",
        "(id)",
        envelope(ident=str(limit), params=ECHO),
        envelope(ident=str(limit - 1), params=ECHO),
    )
    wrong(
        "id 2^53+1",
        "(id)",
        envelope(ident=str(limit + 1), params=ECHO),
        envelope(ident=f'"{limit + 1}"', params=ECHO),
    )
    wrong(
        "id minus 2^53",
        "(id)",
        envelope(ident=str(-limit), params=ECHO),
        envelope(ident=str(1 - limit), params=ECHO),
    )
    wrong("id 2^64", "(id)", envelope(ident=str(2**64), params=ECHO))
    wrong("id of 400 digits", "(id)", envelope(ident="9" * 400, params=ECHO))
    wrong(
        "id string of 257 bytes",
        "(id)",
        envelope(ident=f'"{"a" * 257}"', params=ECHO),
        envelope(ident=f'"{"a" * 256}"', params=ECHO),
    )
    wrong(
        "id string of 129 two-byte letters",
        "(id)",
        envelope(ident=f'"{chr(233) * 129}"', params=ECHO),
        envelope(ident=f'"{chr(233) * 128}"', params=ECHO),
    )
    wrong("tools call without id", "(id)", envelope(ident=None, params=ECHO))
    wrong(
        "initialize without id",
        "(id)",
        method("initialize", '{"protocolVersion":"2025-06-18"}', ident=None),
        method("initialize", '{"protocolVersion":"2025-06-18"}'),
    )
    wrong(
        "resources read without id",
        "(id)",
        method("resources/read", '{"uri":"a:b"}', ident=None),
        method("resources/read", '{"uri":"a:b"}'),
    )
    wrong("ping without id", "(id)", method("ping", None, ident=None), PING)
    wrong(
        "notification with id",
        "(id)",
        method("notifications/initialized", None),
        method("notifications/initialized", None, ident=None),
    )


def responses() -> None:
    """Answers of a client that are not one."""

    def wrong(name: str, refused: str, accepted: str, rule: str = "(response)") -> None:
        case(name, refused, accepted, REQUEST, rule)

    answer = envelope(method=None, more='"result":{}')
    fault = envelope(method=None, more='"error":{"code":1,"message":"no"}')
    wrong("result beside method", envelope(params=ECHO, more='"result":{}'), GOOD)
    wrong("error beside method", envelope(params=ECHO, more='"error":{"code":1,"message":"no"}'), GOOD)
    wrong("null result beside method", envelope(params=ECHO, more='"result":null'), GOOD)
    wrong("neither method nor result", envelope(method=None), answer)
    wrong(
        "result and error",
        envelope(method=None, more='"result":{},"error":{"code":1,"message":"no"}'),
        answer,
    )
    wrong("params in a response", envelope(method=None, params="{}", more='"result":{}'), answer)
    wrong("response without id", envelope(ident=None, method=None, more='"result":{}'), answer, "(id)")
    wrong("response with null id", envelope(ident="null", method=None, more='"result":{}'), answer, "(id)")
    wrong(
        "error with null id",
        envelope(ident="null", method=None, more='"error":{"code":1,"message":"no"}'),
        fault,
        "(id)",
    )
    for name, text in (("null", "null"), ("an array", "[]"), ("a string", '"ok"')):
        wrong(f"result is {name}", envelope(method=None, more=f'"result":{text}'), answer)
    wrong("error is a string", envelope(method=None, more='"error":"no"'), fault)
    wrong("error without code", envelope(method=None, more='"error":{"message":"no"}'), fault)
    wrong("error code is a string", envelope(method=None, more='"error":{"code":"1","message":"no"}'), fault)
    wrong("error code is 1.0", envelope(method=None, more='"error":{"code":1.0,"message":"no"}'), fault)
    wrong("error without message", envelope(method=None, more='"error":{"code":1}'), fault)


def params() -> None:
    """Params of the wrong shape."""

    def wrong(name: str, refused: str, accepted: str = GOOD) -> None:
        case(f"params {name}", refused, accepted, PARAMS, "(params)")

    for name, text in (("a list", '["echo"]'), ("null", "null"), ("a string", '"echo"'), ("a number", "1")):
        wrong(f"is {name}", envelope(params=text))
    wrong("missing in tools call", envelope())
    wrong(
        "without tool name",
        envelope(params='{"arguments":{}}'),
        envelope(params='{"name":"echo","arguments":{}}'),
    )
    for name, text in (
        ("a number", "1"),
        ("null", "null"),
        ("a list", '["echo"]'),
        ("true", "true"),
        ("empty", '""'),
        ("an object", '{"x":1}'),
    ):
        wrong(
            f"tool name is {name}", envelope(params=f'{{"name":{text}}}'), envelope(params='{"name":"echo"}')
        )
    for name, text in (
        ("a list", "[]"),
        ("a string", '"{}"'),
        ("null", "null"),
        ("a number", "5"),
        ("true", "true"),
    ):
        wrong(f"arguments is {name}", call(text), call("{}"))
    for name, text in (("a list", "[]"), ("null", "null"), ("a string", '"x"')):
        wrong(
            f"meta is {name}",
            method("tools/list", f'{{"_meta":{text}}}'),
            method("tools/list", '{"_meta":{}}'),
        )
    wrong(
        "protocol version in meta is a number",
        method("tools/list", '{"_meta":{"io.modelcontextprotocol/protocolVersion":2}}'),
        method("tools/list", '{"_meta":{"other":2}}'),
    )
    for name, text in (
        ("an object", "{}"),
        ("1.5", "1.5"),
        ("true", "true"),
        ("null", "null"),
        ("2^53", str(2**53)),
    ):
        wrong(
            f"progress token is {name}",
            method("tools/list", f'{{"_meta":{{"progressToken":{text}}}}}'),
            method("tools/list", '{"_meta":{"progressToken":1}}'),
        )
    ref = '"ref":{"type":"ref/prompt","name":"p"}'
    argument = '"argument":{"name":"a","value":""}'
    version = '"protocolVersion":"2025-06-18"'
    pairs = (
        ("prompts get without name", "prompts/get", "{}", '{"name":"p"}'),
        (
            "prompts get arguments list",
            "prompts/get",
            '{"name":"p","arguments":[]}',
            '{"name":"p","arguments":{}}',
        ),
        ("resources read without uri", "resources/read", "{}", '{"uri":"a:b"}'),
        ("resources read uri list", "resources/read", '{"uri":["a:b"]}', '{"uri":"a:b"}'),
        ("resources read uri number", "resources/read", '{"uri":1}', '{"uri":"1"}'),
        ("resources subscribe without uri", "resources/subscribe", "{}", '{"uri":"a:b"}'),
        ("resources unsubscribe null uri", "resources/unsubscribe", '{"uri":null}', '{"uri":"a:b"}'),
        ("completion without ref", "completion/complete", f"{{{argument}}}", f"{{{ref},{argument}}}"),
        (
            "completion ref string",
            "completion/complete",
            f'{{"ref":"p",{argument}}}',
            f"{{{argument},{ref}}}",
        ),
        (
            "completion ref without type",
            "completion/complete",
            f'{{"ref":{{}},{argument}}}',
            f'{{"ref":{{"type":"ref/prompt"}},{argument}}}',
        ),
        (
            "completion without argument",
            "completion/complete",
            f"{{{ref}}}",
            f'{{{ref},"argument":{{"name":"b","value":""}}}}',
        ),
        ("logging level number", "logging/setLevel", '{"level":1}', '{"level":"info"}'),
        (
            "initialize without version",
            "initialize",
            '{"capabilities":{}}',
            f'{{{version},"capabilities":{{}}}}',
        ),
        ("initialize version number", "initialize", '{"protocolVersion":2025}', f"{{{version}}}"),
        (
            "initialize capabilities list",
            "initialize",
            f'{{{version},"capabilities":[]}}',
            f'{{"capabilities":{{}},{version}}}',
        ),
        ("tasks get without id", "tasks/get", "{}", '{"taskId":"t"}'),
        ("tasks cancel id number", "tasks/cancel", '{"taskId":1}', '{"taskId":"1"}'),
        ("cursor number", "tools/list", '{"cursor":1}', '{"cursor":"1"}'),
        ("cursor null", "tools/list", '{"cursor":null}', "{}"),
        (
            "input responses list",
            "tools/call",
            '{"name":"echo","inputResponses":[]}',
            '{"name":"echo","inputResponses":{}}',
        ),
        (
            "request state object",
            "tools/call",
            '{"name":"echo","requestState":{}}',
            '{"name":"echo","requestState":"s"}',
        ),
        ("task string", "tools/call", '{"name":"echo","task":"t"}', '{"name":"echo","task":{}}'),
    )
    for name, of, refused, accepted in pairs:
        wrong(name, method(of, refused), method(of, accepted))
    for name, text in (("an object", "{}"), ("1.0", "1.0"), ("null", "null"), ("true", "true")):
        wrong(
            f"cancelled request is {name}",
            method("notifications/cancelled", f'{{"requestId":{text}}}', ident=None),
            method("notifications/cancelled", '{"requestId":1}', ident=None),
        )
    wrong(
        "progress without token",
        method("notifications/progress", '{"progress":1}', ident=None),
        method("notifications/progress", '{"progress":1,"progressToken":1}', ident=None),
    )


def batches() -> None:
    """Arrays of messages."""

    def one(number: object) -> str:
        return envelope(ident=json.dumps(number), method='"ping"')

    def batch(*members: str) -> str:
        return "[" + ",".join(members) + "]"

    def wrong(name: str, refused: str, accepted: str, *, rule: str = "(batch)", **how: object) -> None:
        case(f"batch {name}", refused, accepted, REQUEST, rule, **how)

    wrong("outside its revision", batch(GOOD), GOOD)
    wrong(
        "of one notification outside its revision",
        batch(method("notifications/initialized", None, ident=None)),
        method("notifications/initialized", None, ident=None),
    )
    wrong("empty outside its revision", "[]", PING)
    wrong("empty", "[]", batch(one(1)), batches=True)
    wrong("of 33", batch(*map(one, range(33))), batch(*map(one, range(32))), batches=True)
    wrong("with one id twice", batch(one(1), one(1)), batch(one(1), one(2)), batches=True)
    wrong(
        "with one id spelled twice",
        batch(one("a"), one("a").replace('"a"', '"\\u0061"')),
        batch(one(1), one("1")),
        batches=True,
    )
    initialize = method("initialize", '{"protocolVersion":"2025-03-26"}', ident="2")
    wrong("with initialize", batch(one(1), initialize), batch(one(1), one(2)), batches=True)
    wrong(
        "of requests and responses",
        batch(one(1), envelope(ident="2", method=None, more='"result":{}')),
        batch(one(1), one(2)),
        batches=True,
    )
    wrong(
        "of notifications and responses",
        batch(
            method("notifications/initialized", None, ident=None),
            envelope(ident="2", method=None, more='"result":{}'),
        ),
        batch(method("notifications/initialized", None, ident=None), one(1)),
        batches=True,
    )
    wrong("in a batch", batch(batch(one(1))), batch(one(1)), batches=True, rule="(envelope)")
    wrong("with a number", batch(one(1), "2"), batch(one(1), one(2)), batches=True, rule="(envelope)")
    wrong(
        "with a member without jsonrpc",
        batch(one(1), '{"id":2,"method":"ping"}'),
        batch(one(1), one(2)),
        batches=True,
        rule="(jsonrpc)",
    )
    wrong(
        "with a tools call without id",
        batch(one(1), envelope(ident=None, params=ECHO)),
        batch(one(1), envelope(ident="2", params=ECHO)),
        batches=True,
        rule="(id)",
    )


def headers() -> None:
    """Headers that do not say what the body says."""
    version = "2026-07-28"
    named = f'"io.modelcontextprotocol/protocolVersion":"{version}"'
    meta = f'"_meta":{{{named},"io.modelcontextprotocol/clientCapabilities":{{}}}}'

    def modern(name: str = "echo") -> str:
        return envelope(params=f'{{"name":{json.dumps(name)},"arguments":{{}},{meta}}}')

    def sent(**values: str | None) -> list[list[str]]:
        names = {"version": "mcp-protocol-version", "method": "mcp-method", "name": "mcp-name"}
        good: dict[str, str | None] = {"version": version, "method": "tools/call", "name": "echo"}
        return [[names[key], value] for key, value in {**good, **values}.items() if value is not None]

    good = sent()

    def wrong(
        name: str,
        wrong_headers: list[list[str]],
        *,
        body: str | None = None,
        twin: str | None = None,
        twin_headers: list[list[str]] | None = None,
        code: int = MISMATCH,
        rule: str = "(header mismatch)",
    ) -> None:
        body = modern() if body is None else body
        case(
            f"header {name}",
            body,
            body if twin is None else twin,
            code,
            rule,
            headers=wrong_headers,
            twin_headers=twin_headers or good,
        )

    wrong("version missing", sent(version=None))
    wrong("version of another modern revision", sent(version="2027-01-01"))
    wrong("version legacy beside a modern body", sent(version="2025-11-25"))
    wrong("version twice", [*good, ["mcp-protocol-version", version]])
    wrong("version twice and different", [*good, ["mcp-protocol-version", "2025-11-25"]])
    wrong("method missing", sent(method=None))
    wrong("method different", sent(method="tools/list"))
    wrong("method in upper case", sent(method="TOOLS/CALL"))
    wrong("method twice", [*good, ["mcp-method", "tools/call"]])
    wrong("method empty", sent(method=""))
    wrong("name missing", sent(name=None))
    wrong("name different", sent(name="safe_tool"))
    wrong("name in another case", sent(name="Echo"))
    wrong("name twice", [*good, ["mcp-name", "echo"]])
    wrong("name twice and different", [*good, ["mcp-name", "danger"]])
    wrong("name empty", sent(name=""))
    wrong("name percent-encoded", sent(name="ech%6f"))
    wrong("name with control character", sent(name="ec\x01ho"))
    cafe = modern("caf\u00e9")
    encoded = sent(name="=?base64?Y2Fmw6k=?=")
    wrong("name as raw UTF-8", sent(name="caf\u00e9"), body=cafe, twin_headers=encoded)
    wrong(
        "name in base64 of another",
        sent(name="=?base64?ZGFuZ2Vy?="),
        twin_headers=sent(name="=?base64?ZWNobw==?="),
    )
    for name, value in (
        ("without padding", "=?base64?Y2Fmw6k?="),
        ("with spare bits", "=?base64?Y2Fmw6l=?="),
        ("of bad UTF-8", "=?base64?/w==?="),
        ("with white space", "=?base64?Y2Fm w6k=?="),
        ("without end", "=?base64?Y2Fmw6k="),
        ("with upper case mark", "=?BASE64?Y2Fmw6k=?="),
    ):
        wrong(f"name in base64 {name}", sent(name=value), body=cafe, twin_headers=encoded)
    wrong(
        "name in URL-safe base64",
        sent(name="=?base64?Pz8_?="),
        body=modern("???"),
        twin_headers=sent(name="=?base64?Pz8/?="),
    )
    wrong(
        "name of two base64 words",
        sent(name="=?base64?ZWNo?==?base64?bw==?="),
        twin_headers=sent(name="=?base64?ZWNobw==?="),
    )
    listing = method("tools/list", f"{{{meta}}}")
    list_headers = sent(method="tools/list", name=None)
    wrong(
        "name on a message that names nothing",
        sent(method="tools/list"),
        body=listing,
        twin_headers=list_headers,
    )
    reading = method("resources/read", f'{{"uri":"file:///a",{meta}}}')
    wrong(
        "name of another resource",
        sent(method="resources/read", name="file:///b"),
        body=reading,
        twin_headers=sent(method="resources/read", name="file:///a"),
    )
    task = method("tasks/get", f'{{"taskId":"t1",{meta}}}')
    wrong(
        "name of another task",
        sent(method="tasks/get", name="t2"),
        body=task,
        twin_headers=sent(method="tasks/get", name="t1"),
    )
    wrong(
        "name of a prompt missing",
        sent(method="prompts/get", name=None),
        body=method("prompts/get", f'{{"name":"p",{meta}}}'),
        twin_headers=sent(method="prompts/get", name="p"),
    )
    header_eras(wrong, sent, modern, good)


def header_eras(
    wrong: Callable[..., None],
    sent: Callable[..., list[list[str]]],
    modern: Callable[..., str],
    good: list[list[str]],
) -> None:
    """Headers and bodies that name no era, or two."""
    version = "2026-07-28"
    # A revision nobody here knows.
    future = modern().replace(version, "2099-01-01")
    wrong(
        "and body of an unknown modern revision",
        sent(version="2099-01-01"),
        body=future,
        twin=modern(),
        code=VERSION,
        rule="(version)",
    )
    wrong("version modern without meta", good, body=GOOD, twin=modern(), code=PARAMS, rule="(version)")
    answer = envelope(method=None, more='"result":{}')
    plain = [["mcp-protocol-version", "2025-11-25"]]
    wrong(
        "version modern on a response",
        [["mcp-protocol-version", version]],
        body=answer,
        twin_headers=plain,
        code=REQUEST,
        rule="(version)",
    )
    # The legacy era.
    for name, value in (
        ("malformed", "invalid-protocol-version"),
        ("of the past", "2000-01-01"),
        ("of the future", "2099-01-01"),
        ("empty", ""),
    ):
        wrong(
            f"version {name}",
            [["mcp-protocol-version", value]],
            body=GOOD,
            twin_headers=plain,
            code=REQUEST,
            rule="(version)",
        )
    wrong(
        "name different on legacy",
        [*plain, ["mcp-name", "safe_tool"]],
        body=GOOD,
        twin_headers=[*plain, ["mcp-name", "echo"]],
        code=REQUEST,
    )
    wrong(
        "method different on legacy",
        [*plain, ["mcp-method", "tools/list"]],
        body=GOOD,
        twin_headers=[*plain, ["mcp-method", "tools/call"]],
        code=REQUEST,
    )
    wrong(
        "name different without version",
        [["mcp-name", "safe_tool"]],
        body=GOOD,
        twin_headers=[["mcp-name", " echo\t"]],
        code=REQUEST,
    )
    wrong("version in the body only", [], twin=GOOD, twin_headers=[["accept", "*/*"]])


def main() -> None:
    """Write everything below FOLDER (default: beside this file)."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for build in (
        duplicate_keys,
        twin_keys,
        prototype_keys,
        protocol_keys,
        encodings,
        syntax,
        numbers,
        surrogates,
        sizes,
        envelopes,
        responses,
        params,
        batches,
        headers,
    ):
        build()
    for name in ("refused", "accepted"):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir(parents=True)
    for path, content in FILES.items():
        (folder / path).write_bytes(content)
    text = ",\n".join(json.dumps(entry, ensure_ascii=True) for entry in CASES)
    (folder / "manifest.json").write_text(f"[\n{text}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
