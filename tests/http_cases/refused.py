"""Requests that must be refused, by the number of their HTTP case, each named after what is wrong."""

from __future__ import annotations

from ostiary.proxy.http.request import SLICE, Limits

Refused = dict[str, tuple[int, bytes]]
"""What is wrong: the status of the answer, and the bytes."""

HOST = b"Host: 127.0.0.1"


def head(*lines: bytes, first: bytes = b"POST /mcp HTTP/1.1") -> bytes:
    """A request head from its lines."""
    return b"\r\n".join((first, *lines)) + b"\r\n\r\n"


def sized(*lines: bytes, body: bytes = b"{}") -> bytes:
    """A request with a length and extra header lines."""
    return head(HOST, *lines, b"Content-Length: %d" % len(body)) + body


def chunked(*lines: bytes, body: bytes = b"2\r\n{}\r\n0\r\n\r\n") -> bytes:
    """A request with a chunked body and extra header lines."""
    return head(HOST, *lines, b"Transfer-Encoding: chunked") + body


CHUNKS = b"Transfer-Encoding: chunked"

LENGTH_AND_CODING: Refused = {
    "length_and_transfer_coding": (400, chunked(b"Content-Length: 2")),
    "transfer_coding_and_length": (400, head(HOST, CHUNKS, b"Content-Length: 2")),
    "length_of_nothing_and_transfer_coding": (400, chunked(b"Content-Length: 0")),
}

LENGTH: Refused = {
    "two_equal_lengths": (400, head(HOST, b"Content-Length: 2", b"Content-Length: 2") + b"{}"),
    "two_different_lengths": (400, head(HOST, b"Content-Length: 2", b"Content-Length: 3") + b"{}x"),
    "length_with_plus": (400, head(HOST, b"Content-Length: +5") + b"hello"),
    "length_as_list": (400, head(HOST, b"Content-Length: 5,5") + b"hello"),
    "length_in_hex": (400, head(HOST, b"Content-Length: 0x5") + b"hello"),
    "length_empty": (400, head(HOST, b"Content-Length:") + b"hello"),
    "length_negative": (400, head(HOST, b"Content-Length: -5") + b"hello"),
    "length_with_space_inside": (400, head(HOST, b"Content-Length: 1 0") + b"hello"),
    "length_of_20_digits": (400, head(HOST, b"Content-Length: 18446744073709551621") + b"hello"),
}

CODING: Refused = {
    "chunked_twice": (400, head(HOST, CHUNKS, CHUNKS)),
    "xchunked": (400, head(HOST, b"Transfer-Encoding: xchunked")),
    "chunked_identity": (400, head(HOST, b"Transfer-Encoding: chunked, identity")),
    "identity_chunked": (400, head(HOST, b"Transfer-Encoding: identity, chunked")),
    "gzip_chunked": (400, head(HOST, b"Transfer-Encoding: gzip, chunked")),
    "gzip_then_chunked_in_two_lines": (400, head(HOST, b"Transfer-Encoding: gzip", CHUNKS)),
    "identity": (400, head(HOST, b"Transfer-Encoding: identity")),
    "chunked_upper_case": (400, head(HOST, b"Transfer-Encoding: CHUNKED") + b"0\r\n\r\n"),
    "chunked_folded": (400, head(HOST, b"Transfer-Encoding:", b" chunked")),
    "chunked_after_tab": (400, head(HOST, b"Transfer-Encoding:\tchunked") + b"2\r\n{}\r\n0\r\n\r\n"),
    "chunked_after_space_and_tab": (400, head(HOST, b"transfer-encoding: \tchunked") + b"0\r\n\r\n"),
    "upgrade_with_chunked_after_tab": (
        400,
        head(HOST, b"Upgrade: h2c", b"Connection: upgrade", b"Transfer-Encoding:\tchunked") + b"0\r\n\r\n",
    ),
    "chunked_before_tab": (400, head(HOST, b"Transfer-Encoding: chunked\t")),
    "chunked_on_http_1_0": (400, head(HOST, CHUNKS, first=b"POST /mcp HTTP/1.0")),
    "chunked_on_http_1_0_kept_alive": (
        400,
        head(HOST, b"Connection: keep-alive", CHUNKS, first=b"POST /mcp HTTP/1.0"),
    ),
    "upgrade_with_malformed_chunks": (400, chunked(b"Upgrade: h2c", b"Connection: upgrade", body=b"x")),
}

HEADERS: Refused = {
    "bare_line_feeds": (400, b"POST /mcp HTTP/1.1\nHost: 127.0.0.1\n\n"),
    "bare_line_feed_after_header": (400, b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\nX: y\r\n\r\n"),
    "bare_carriage_return": (400, b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\rX: y\r\n\r\n"),
    "nul_in_value": (400, head(HOST, b"X: a\0b")),
    "control_character_in_value": (400, head(HOST, b"X: a\x01b")),
    "space_before_colon": (400, head(HOST, b"X : y")),
    "folded_line": (400, head(HOST, b"X: y", b" z")),
    "empty_name": (400, head(HOST, b": y")),
    "name_with_parenthesis": (400, head(HOST, b"X(: y")),
    "line_without_colon": (400, head(HOST, b"X")),
}

TARGET: Refused = {
    "trace": (405, head(HOST, first=b"TRACE /mcp HTTP/1.1")),
    "connect": (405, head(HOST, first=b"CONNECT a:80 HTTP/1.1")),
    "put": (405, head(HOST, first=b"PUT /mcp HTTP/1.1")),
    "patch": (405, head(HOST, first=b"PATCH /mcp HTTP/1.1")),
    "unknown_method": (501, head(HOST, first=b"BREW /mcp HTTP/1.1")),
    "lower_case_method": (501, head(HOST, first=b"get /mcp HTTP/1.1")),
    "asterisk": (400, head(HOST, first=b"OPTIONS * HTTP/1.1")),
    "absolute_form": (400, head(HOST, first=b"GET http://127.0.0.1/mcp HTTP/1.1")),
    "fragment": (400, head(HOST, first=b"GET /mcp#x HTTP/1.1")),
    "target_not_ascii": (400, head(HOST, first=b"GET /\xc3\xa9 HTTP/1.1")),
    "http_0_9": (400, b"GET /mcp\r\n\r\n"),
    "http_2_preface": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "rtsp": (505, head(HOST, first=b"POST /mcp RTSP/1.0") + b"{}"),
    "rtsp_kept_alive_after_an_empty_line": (505, b"\r\n" + head(HOST, first=b"POST  /mcp RTSP/1.1")),
    "http_2": (505, head(HOST, first=b"GET /mcp HTTP/2.0")),
    "get_with_length": (400, head(HOST, b"Content-Length: 2", first=b"GET /mcp HTTP/1.1") + b"{}"),
    "get_with_chunks": (400, head(HOST, CHUNKS, first=b"GET /mcp HTTP/1.1")),
}

HOSTS: Refused = {
    "no_host": (400, head(b"X: y")),
    "no_host_on_http_1_0": (400, head(b"X: y", first=b"POST /mcp HTTP/1.0")),
    "empty_host": (400, head(b"Host:")),
    "two_hosts": (400, head(HOST, HOST)),
    "upgrade_without_host": (400, head(b"Upgrade: h2c", b"Connection: upgrade")),
}

HYGIENE: Refused = {
    "connection_names_mcp_name": (400, sized(b"Mcp-Name: x", b"Connection: mcp-name")),
    "connection_names_content_type": (400, sized(b"Connection: keep-alive, Content-Type")),
    "connection_names_authorization": (400, sized(b"Connection: close", b"Connection: Authorization")),
    "connection_names_host": (400, sized(b"Connection: host")),
    "connection_malformed": (400, sized(b"Connection: a b")),
    "authorization_twice": (400, sized(b"Authorization: Bearer a", b"Authorization: Bearer b")),
    "mcp_name_twice": (400, sized(b"Mcp-Name: a", b"MCP-NAME: a")),
    "content_type_twice": (400, sized(b"Content-Type: a/b", b"Content-Type: c/d")),
}

PLAIN_PORT: Refused = {"tls_on_the_plain_port": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")}

EXPECTATION: Refused = {"unknown_expectation": (417, sized(b"Expect: tea"))}


def chunks(limits: Limits) -> Refused:
    """Malformed chunked bodies."""
    trailers = b"X: y\r\n" * (limits.headers + 1)
    endless = b"x" * (limits.head + 3 * SLICE)
    return {
        "chunk_size_with_sign": (400, chunked(body=b"+2\r\n{}\r\n0\r\n\r\n")),
        "chunk_size_after_space": (400, chunked(body=b" 2\r\n{}\r\n0\r\n\r\n")),
        "chunk_size_before_space": (400, chunked(body=b"2 \r\n{}\r\n0\r\n\r\n")),
        "chunk_size_of_17_digits": (400, chunked(body=b"10000000000000002\r\n{}\r\n0\r\n\r\n")),
        "chunk_longer_than_its_size": (400, chunked(body=b"2\r\n{}}\r\n0\r\n\r\n")),
        "chunk_without_line_end": (400, chunked(body=b"2\r\n{}0\r\n\r\n")),
        "chunk_extension_without_end": (400, chunked(body=b"2;" + endless + b"\r\n{}\r\n0\r\n\r\n")),
        "trailer_without_end": (400, chunked(body=b"0\r\nX: " + endless + b"\r\n\r\n")),
        "too_many_trailers": (431, chunked(body=b"0\r\n" + trailers + b"\r\n")),
    }


def heads(limits: Limits) -> Refused:
    """Heads that are too large in one way or another."""
    return {
        "target_too_long": (414, head(HOST, first=b"GET /" + b"a" * limits.target + b" HTTP/1.1")),
        "head_too_large": (431, head(HOST, b"X: " + b"y" * limits.head)),
        "head_without_end": (
            431,
            b"GET /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"y" * (limits.head + 3 * SLICE),
        ),
        "too_many_headers": (431, head(HOST, *[b"X-%d: y" % n for n in range(limits.headers)])),
    }


def bodies(limits: Limits) -> Refused:
    """Bodies that are too large in one way or another."""
    full = b"%x\r\n%b\r\n" % (limits.body, b"x" * limits.body)
    over = b"%x\r\n%b" % (limits.body + 1, b"x" * (limits.body + 1))
    return {
        "length_over_the_limit": (413, head(HOST, b"Content-Length: %d" % (limits.body + 1))),
        "chunks_over_the_limit": (413, chunked(body=full + b"1\r\nx")),
        "upgrade_with_chunks_over_the_limit": (
            413,
            chunked(b"Upgrade: h2c", b"Connection: upgrade", body=over),
        ),
    }


def by_case(limits: Limits) -> dict[int, Refused]:
    """All of them, for a listener with these limits."""
    return {
        1: LENGTH_AND_CODING,
        2: LENGTH,
        3: CODING,
        4: chunks(limits),
        5: HEADERS,
        6: heads(limits),
        7: bodies(limits),
        10: EXPECTATION,
        11: TARGET,
        12: HOSTS,
        23: PLAIN_PORT,
        25: HYGIENE,
    }
