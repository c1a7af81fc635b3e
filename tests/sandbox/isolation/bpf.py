"""A second reading of filters: the few instructions of classic BPF that they are made of."""

from __future__ import annotations

import struct
from dataclasses import dataclass

ALLOW, KILL = 0x7FFF0000, 0x80000000
X86, ARM, I386 = 0xC000003E, 0xC00000B7, 0x40000003


@dataclass(frozen=True)
class Answer:
    """What the kernel does with a call: lets it pass, ends the process, or answers an error number."""

    kind: str
    error: int = 0


def ask(program: bytes, number: int, *arguments: int, arch: int = X86) -> Answer:
    padded = [*arguments, *([0] * (6 - len(arguments)))]
    data = struct.pack("=IIQ6Q", number & 0xFFFFFFFF, arch, 0, *(one & (2**64 - 1) for one in padded))
    steps = list(struct.iter_unpack("=HBBI", program))
    place, held = 0, 0
    while True:
        code, yes, no, value = steps[place]
        place += 1
        if code == 0x20:  # load a word
            (held,) = struct.unpack_from("=I", data, value)
        elif code == 0x54:  # and
            held &= value
        elif code == 0x06:  # return
            return answer(value)
        else:
            hit = {0x15: held == value, 0x25: held > value, 0x35: held >= value, 0x45: bool(held & value)}
            place += yes if hit[code] else no


def answer(value: int) -> Answer:
    if value == ALLOW:
        return Answer("allow")
    if value == KILL:
        return Answer("kill")
    assert value >> 16 == 5, hex(value)
    return Answer("error", value & 0xFFFF)
