"""Text as other programs write it: UTF-8 or UTF-16, any line end, and one of several delimiters."""

import codecs
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import BinaryIO

from latently.common.errors import InputError

Line = tuple[int, str]  # its number in the file, from 1, and its text
MARKS = {  # the longer marks first: that of UTF-32 begins with that of UTF-16
    codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32", codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16", codecs.BOM_UTF8: "utf-8-sig",
}  # fmt: skip
HEAD = 4096  # bytes that tell the encoding
LONGEST_QUOTE = 60  # letters of a line that a sentence shows


def lines_of(stream: BinaryIO, where: str) -> Iterator[Line]:
    """The lines, with their ends. Raises `InputError` that shows the first line that is no text."""
    encoding = _encoding(stream.read(HEAD), where)
    stream.seek(0)
    eight_bits = encoding.startswith("utf-8")
    errors = "surrogateescape" if eight_bits else "strict"  # escapes: so that the line can be shown
    text, number = io.TextIOWrapper(stream, encoding, errors, newline=""), 0
    try:
        for number, line in enumerate(text, 1):
            if eight_bits and not line.isascii():
                _require_utf8(line, f"{where}, line {number}")
            if "\0" in line:  # which NumPy drops from the end of text
                raise InputError(f"{where} is no text: line {number} holds zero bytes; expected CSV in UTF-8")
            yield number, line
    except UnicodeDecodeError as error:
        name = encoding.upper()
        raise InputError(f"{where} is not {name} text after line {number}; save it as UTF-8") from error
    finally:
        with suppress(ValueError):  # it is closed already
            text.detach()


def decoded(content: bytes, where: str) -> str:
    """The text of a whole file. Raises `InputError` as `lines_of` does."""
    return "".join(line for _, line in lines_of(io.BytesIO(content), where))


def _encoding(head: bytes, where: str) -> str:
    for mark, encoding in MARKS.items():
        if head.startswith(mark):
            return encoding
    if b"\0" not in head:
        return "utf-8"
    zeros = [sum(byte == 0 for byte in head[start::2]) / (len(head) / 2) for start in (0, 1)]
    # Without its mark, UTF-16 shows in text that is mostly ASCII: every other byte is zero.
    if max(zeros) > 0.5 and min(zeros) < 0.1:
        return "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
    raise InputError(f"{where} is no text: it holds zero bytes; expected CSV in UTF-8")


def _require_utf8(line: str, where: str) -> None:
    try:
        line.encode()
    except UnicodeEncodeError:
        text = line.encode(errors="surrogateescape").decode(errors="backslashreplace")
        shown = quoted(text).replace("\\\\", "\\")
        raise InputError(f"{where} is not UTF-8: the line is {shown}; save the file as UTF-8") from None


def quoted(line: str) -> str:
    """The line as a sentence shows it: what cannot be printed is escaped, what is long ends in dots.

    >>> print(quoted("a.png\\tcat"), quoted("1," * 50)[-8:])
    'a.png\\tcat' ,1,1...'
    """
    line = line.rstrip("\r\n")
    return repr(line if len(line) <= LONGEST_QUOTE else line[: LONGEST_QUOTE - 3] + "...")


def some(names: Sequence[str]) -> str:
    """The first three, as a sentence shows them.

    >>> print(some(["a", "b"]), some(list("abcd")))
    'a', 'b' 'a', 'b', 'c' ...
    """
    return ", ".join(map(quoted, names[:3])) + (" ..." if len(names) > 3 else "")


def delimiter_of(line: str) -> str:
    """What separates the columns: the semicolon or tab where commas may all be decimal ones, else the comma.

    >>> delimiter_of("0,5;0,25;cat"), delimiter_of("cat;old,1,2,3,4")
    (';', ',')
    """
    bare = re.sub('"[^"]*"', "", line)
    other = max(";\t", key=bare.count)
    return other if bare.count(other) and bare.count(",") <= bare.count(other) + 1 else ","


def named_delimiter(line: str) -> str | None:
    """The delimiter of a first line such as `sep=;`, which Excel reads and writes; of any other line None."""
    found = re.fullmatch(r"sep=([,;\t|])", line.strip().lower().strip('"'))
    return found.group(1) if found else None
