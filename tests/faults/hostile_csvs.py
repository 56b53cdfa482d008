"""Annotation files with garbage in them, by a seed, and what has to become of each of their lines.

The second half is an oracle that shares nothing with the program: Python's `csv` and `json`
modules, and the rules as docs/guides/bad-rows.md publishes them.
"""

from __future__ import annotations

import csv
import json
import random
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["KINDS", "Hostile", "Verdict", "hostile", "verdict"]

UNIT = "unit"
BOX = ("XMin", "XMax", "YMin", "YMax")
FLAGS = ("IsOccluded", "IsTruncated", "IsGroupOf", "IsDepiction", "IsInside")


@dataclass(frozen=True)
class Kind:
    """One kind of file: its columns, the rule of each that has one, pairs low before high."""

    columns: tuple[str, ...]
    rules: dict[str, str]
    ordered: tuple[tuple[str, str], ...] = ()
    quoted: bool = False


def _boxed(*ends: str) -> tuple[dict[str, str], tuple[tuple[str, str], ...]]:
    names = [f"{front}{axis}{end}{back}" for e in ends for front, back in [e.split("*")]
             for axis in "XY" for end in ("Min", "Max")]  # fmt: skip
    pairs = tuple(zip(names[::2], names[1::2], strict=True))
    return dict.fromkeys(names, UNIT), pairs


_PLAIN, _PLAIN_PAIRS = _boxed("*")
_MASKS, _MASK_PAIRS = _boxed("Box*")
_TWO, _TWO_PAIRS = _boxed("*1", "*2")
_ID = {"ImageID": "id"}
KINDS = {
    "boxes": Kind(
        ("ImageID", "Source", "LabelName", "Confidence", *BOX, *FLAGS),
        _ID | {"LabelName": "mid"} | _PLAIN | dict.fromkeys(FLAGS, "flag"),
        _PLAIN_PAIRS,
    ),
    "masks": Kind(
        ("MaskPath", "ImageID", "LabelName", "BoxID", "BoxXMin", "BoxXMax", "BoxYMin", "BoxYMax",
         "PredictedIoU", "Clicks"),
        _ID | {"MaskPath": "mask", "LabelName": "mid"} | _MASKS,
        _MASK_PAIRS,
    ),
    "human image labels": Kind(
        ("ImageID", "Source", "LabelName", "Confidence"),
        _ID | {"LabelName": "mid", "Confidence": UNIT},
    ),
    "relationships": Kind(
        ("ImageID", "LabelName1", "LabelName2", *(f"{n}1" for n in BOX), *(f"{n}2" for n in BOX),
         "RelationshipLabel"),
        _ID | {"LabelName1": "mid", "LabelName2": "mid"} | _TWO,
        _TWO_PAIRS,
    ),
    "points": Kind(
        ("ImageId", "X", "Y", "Label", "EstimatedYesNo", "Source", "YesVotes"),
        {"ImageId": "id", "Label": "mid", "X": UNIT, "Y": UNIT},
        quoted=True,
    ),
    "images": Kind(
        ("ImageID", "Subset", "OriginalURL", "OriginalLandingURL", "License", "AuthorProfileURL",
         "Author", "Title", "OriginalSize", "OriginalMD5", "Thumbnail300KURL", "Rotation"),
        dict(_ID),
        quoted=True,
    ),
    "narratives": Kind(("image_id",), {"image_id": "id"}),
}  # fmt: skip


@dataclass(frozen=True)
class Hostile:
    """A file, and the kind that it should be of."""

    kind: str
    data: bytes


@dataclass(frozen=True)
class Verdict:
    """What has to become of a file: the good rows as published and the numbers of the bad lines.

    `refused` says why the whole file is no such file; rows and lines then mean nothing.
    """

    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    bad: list[int]
    refused: str = ""

    @property
    def too_many(self) -> bool:
        """Whether more than 1 % are bad."""
        return len(self.bad) * 100 > len(self.rows) + len(self.bad)


# -- the fuzzer -----------------------------------------------------------------------------------

NUMBERS_WORDS = (
    "NaN nan inf -inf Infinity 1e999 -0.1 -1 1.0000001 2 1e-400 0x1p-1 1_0 0.5f 5e-1 .5 5. +0.5 --1"
    " 1e 0.5.5 0,5 1e1 -0 -0.0 0e0 \u0661 \u0660.\u0665 \uff10 0.\u00b2 \u00bd"
)
NUMBERS = (
    *NUMBERS_WORDS.split(),
    "",
    " 0.5",
    "0.5 ",
    "\t0.5",
    "0." + "5" * 4000,
    "0" * 400 + ".5",
    "1e" + "9" * 400,
)
IDS_WORDS = (
    "../../x ../../../../etc/passwd /etc/passwd C:\\x 0123456789ABCDEF 0123456789abcde"
    " 0123456789abcdef0 0x23456789abcdef =cmd|'/c'!A0 \u0661123456789abcdef 0123456789abcde\u0661"
    " -123456789abcdef"
)
IDS = (
    *IDS_WORDS.split(),
    "",
    "0123456789abcdef ",
    " 0123456789abcdef",
    "0123456789abcdef\t",
    "a" * 5000,
    "%00",
)
MIDS_WORDS = (
    "/m/ /m/0 /m/../x /m/0GXL3 m/0gxl3 //m/0gxl3 /x/0gxl3 /m/0gxl3/ /m/0\u0661xl /g/11b /oi/1a_b"
    " /m/0123456789012345678901234567 /m/0gxl3\u200b"
)
MIDS = (*MIDS_WORDS.split(), "", " /m/0gxl3", "/m/0 gxl3")
TEXTS = (
    "=cmd|'/c calc'!A0", "@SUM(1)", "+1", "-1", "<script>", "\U0001f52b", "a\rb", "\r", "\v\f\x85",
    "\u2028", '"', '""', 'a"b', "'", "\\", "\ufeff", "\x1b[2J", "None", "NULL", "x" * 70_000,
)  # fmt: skip


class _Maker:
    """Draws rows of one kind, and spoils some."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.name = self.chance.choice(sorted(KINDS))
        self.kind = KINDS[self.name]

    def hex(self, digits: int) -> str:
        return f"{self.chance.getrandbits(4 * digits):0{digits}x}"

    def row(self) -> list[str]:
        """Give a sound row, in the order of the columns."""
        made: dict[str, str] = {}
        for column in self.kind.columns:
            rule = self.kind.rules.get(column)
            if rule == "id":
                made[column] = self.hex(16)
            elif rule == "mid":
                made[column] = self.chance.choice(("/m/0gxl3", "/m/01g317", "/g/11bc_5", "/m/05"))
            elif rule == "flag":
                made[column] = self.chance.choice(("-1", "0", "1"))
            elif rule == UNIT:
                made[column] = f"{self.chance.random():.6f}"
            elif rule is None:
                made[column] = self.chance.choice(("", "xclick", "0.95", "a b", "http://x.invalid"))
        for low, high in self.kind.ordered:
            made[low], made[high] = sorted((made[low], made[high]))
        if "MaskPath" in self.kind.rules:
            stem = made["LabelName"].replace("/", "")
            made["MaskPath"] = f"{made['ImageID']}_{stem}_{self.hex(8)}.png"
        return [made[column] for column in self.kind.columns]

    def spoiled(self, row: list[str]) -> bytes:
        """Put something odd into a row; what it comes to is for the oracle to say."""
        chance = self.chance
        at = chance.randrange(len(row))
        rule = self.kind.rules.get(self.kind.columns[at])
        drawn = {"id": IDS, UNIT: NUMBERS, "mid": MIDS}.get(rule or "", TEXTS)
        change = chance.randrange(16)
        if change < 7:
            row[at] = chance.choice(drawn if chance.random() < 0.8 else TEXTS)
        elif change == 7:
            row[at] = "-1" if rule != "flag" else chance.choice(("2", "True", "1.0", "", "01"))
        elif change == 8:
            row.insert(at, chance.choice(("", "extra")))
        elif change == 9:
            del row[at]
        elif change == 10:
            row = [self.kind.columns[0], *self.kind.columns[1:]]
        line = self.line(row)
        if change == 11:
            line = line[: chance.randrange(len(line) + 1)]
        elif change == 12:
            place = chance.randrange(len(line) + 1)
            odd = (b"\0", b"\xff\xfe", b"\xc3", b"\xed\xa0\x80", b"\r", b'"', b",", b"\xef\xbb\xbf")
            line = line[:place] + chance.choice(odd) + line[place:]
        elif change == 13:
            line = chance.choice((b"", b"\r", b",", b" ", b"," * 12, b"#", b"\0" * 50, b'"'))
        elif change == 14:
            line = chance.randbytes(chance.randrange(60)).replace(b"\n", b"")
        return line

    def line(self, row: Sequence[str]) -> bytes:
        """Write a row, quoted where it has to be or, in files that know quotes, now and then."""
        if self.name == "narratives":
            told = {
                "dataset_id": "x",
                "image_id": "".join(row[:1]),
                "annotator_id": 3,
                "caption": "A \u00e9",
            }
            return json.dumps(told, ensure_ascii=self.chance.random() < 0.5).encode()
        cells = []
        for cell in row:
            odd = any(sign in cell for sign in ',"\r')
            if self.kind.quoted and (odd or self.chance.random() < 0.02):
                cell = '"' + cell.replace('"', '""') + '"'  # noqa: PLW2901
            cells.append(cell)
        return ",".join(cells).encode("utf-8", errors="surrogatepass")


JSON = (
    b"", b"{}", b"[]", b"null", b'"x"', b"{", b'{"image_id": 1234567890123456}',
    b'{"image_id": null}', b'{"image_id": ["0123456789abcdef"]}', b'{"image_id": "../../x"}',
    b'{"Image_ID": "0123456789abcdef"}', b'{"image_id": "0123456789abcdef"', b"[" * 500,
    b'{"image_id": "0123456789ABCDEF"}', b'{"image_id": "0123456789abcdef", "x": "\xff"}',
    b'{"image_id": "0123456789abcdef", "x": "\\ud83d\\ude00 \\u00e9"}',
    b'{"image_id": "\\u0030123456789abcdef"}', b'{"a": {"image_id": "0123456789abcdef"}}',
    b'{"image_id": "x", "image_id": "0123456789abcdef"}', b'{"a":' * 9000 + b"1" + b"}" * 9000,
    b'{"image_id": "0123456789abcdef"} x', b"\xef\xbb\xbf{}", b'{"image_id": "0123456789abcdef",}',
)  # fmt: skip


def hostile(seed: int) -> Hostile:
    """Make the file of a seed."""
    maker = _Maker(seed)
    chance = maker.chance
    count = chance.choice((0, 1, 5, 300, 500, 900))
    lines = [maker.line(maker.row()) for _ in range(count)]
    for _ in range(min(count, chance.choice((0, 1, 2, 3, 3, 5, 30)))):
        at = chance.randrange(len(lines))
        if maker.name == "narratives" and chance.random() < 0.7:
            lines[at] = chance.choice(JSON)
        else:
            lines[at] = maker.spoiled(maker.row())
    if count and chance.random() < 0.2:
        lines.insert(chance.randrange(count), chance.choice(lines))
    if count > 200 and chance.random() < 0.05:
        lines[7] = maker.line([*maker.row()[:-1], "x" * 10_000_000])
    end = chance.choice((b"\n", b"\n", b"\n", b"\r\n"))
    head = [] if maker.name == "narratives" else [_header(maker)]
    data = end.join([*head, *lines]) + end * chance.choice((0, 1, 1, 1, 2))
    return Hostile(maker.name, _whole(data, chance))


def _header(maker: _Maker) -> bytes:
    columns = list(maker.kind.columns)
    change = maker.chance.randrange(17)
    if change == 0:
        columns.pop()
    elif change == 1:
        columns.append("Extra")
    elif change == 2:
        columns.append(columns[0])
    elif change == 3:
        columns[1] = columns[1].upper() + "?"
    elif change == 4:
        columns.insert(0, "\u00a0")
    return ",".join(columns).encode()


def _whole(data: bytes, chance: random.Random) -> bytes:
    """Spoil a file as a whole, now and then."""
    spoil: dict[int, Callable[[], bytes]] = {
        0: lambda: b"\xef\xbb\xbf" + data,
        1: lambda: data[: chance.randrange(len(data) + 1)],
        2: lambda: b"",
        3: lambda: data.replace(b"\n", b"\r"),
        4: lambda: data.decode("utf-8", errors="replace").encode("utf-16"),
        5: lambda: b"\n" + data,
    }
    return spoil.get(chance.randrange(24), lambda: data)()


# -- the oracle -----------------------------------------------------------------------------------

_HEX = re.compile("[0-9a-f]{16}")
_MID = re.compile("/(m|g|oi)/[0-9a-z_]{2,24}")
_DECIMAL = re.compile("[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?")


def verdict(given: Hostile) -> Verdict:
    """Say what has to become of a file."""
    kind = KINDS[given.kind]
    lines = given.data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    if given.kind == "narratives":
        return _narratives(given.data.removeprefix(b"\xef\xbb\xbf").split(b"\n"))
    if not lines:
        return Verdict((), [], [], refused="empty")
    try:
        head = lines[0].decode("utf-8-sig").rstrip("\r")
        columns = next(csv.reader([head]), [])
    except (UnicodeDecodeError, csv.Error):
        return Verdict((), [], [], refused="no header")
    if not {*kind.rules} <= {*columns} or len({*columns}) < len(columns):
        return Verdict((), [], [], refused="columns")
    rows, bad = [], []
    for number, raw in enumerate(lines[1:], start=2):
        fields = _fields(kind, raw)
        if fields is None or len(fields) != len(columns):
            bad.append(number)
        elif _is_well(kind, dict(zip(columns, fields, strict=True))):
            rows.append(tuple(fields))
        else:
            bad.append(number)
    return Verdict(tuple(columns), rows, bad)


def _fields(kind: Kind, raw: bytes) -> list[str] | None:
    if b"\0" in raw:
        return None
    try:
        text = raw.removesuffix(b"\r").decode("utf-8")
        return next(csv.reader([text], strict=True), []) if kind.quoted else text.split(",")
    except (UnicodeDecodeError, csv.Error):
        return None


def _is_well(kind: Kind, row: dict[str, str]) -> bool:
    tests: dict[str, Callable[[str], object]] = {
        "id": _HEX.fullmatch,
        "mid": _MID.fullmatch,
        "flag": {"-1", "0", "1"}.__contains__,
        UNIT: lambda value: bool(_DECIMAL.fullmatch(value)) and 0 <= float(value) <= 1,
        "mask": bool,
    }
    if not all(tests[rule](row[column]) for column, rule in kind.rules.items()):
        return False
    if any(float(row[low]) > float(row[high]) for low, high in kind.ordered):
        return False
    if "MaskPath" not in kind.rules:
        return True
    front = re.escape(f"{row['ImageID']}_{row['LabelName'].replace('/', '')}_")
    # a mask of a class of /oi/ has never been published, and has no name
    is_named = row["LabelName"][1] in "mg" and not row["LabelName"].startswith("/oi/")
    return is_named and re.fullmatch(f"{front}[0-9a-f]{{8}}[.]png", row["MaskPath"]) is not None


def _narratives(lines: list[bytes]) -> Verdict:
    if not lines[-1]:
        lines.pop()
    rows: list[tuple[str, ...]] = []
    bad: list[int] = []
    for number, raw in enumerate(lines, start=1):
        try:
            text = raw.removesuffix(b"\r").decode("utf-8")
            told = json.loads(text, parse_constant=_refuse)
            name = told["image_id"]
            well = isinstance(told, dict) and isinstance(name, str) and _HEX.fullmatch(name)
        except (ValueError, KeyError, TypeError, RecursionError):
            well = None  # of the deepest of ours none has an id
        if well and b"\0" not in raw:
            rows.append((name, text))
        else:
            bad.append(number)
    return Verdict(("ImageID", "Line"), rows, bad)


def _refuse(constant: str) -> None:
    raise ValueError(constant)
