"""The tables of docs/concepts/reliability.md, out of docs/concepts/faults.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["HERE", "read", "render_into", "rendered", "write"]

HERE = Path(__file__).resolve().parents[1] / "docs" / "concepts"
_BOOK = HERE / "faults.json"
_PARTS = ("suite", "controls", "curves", "measures", "peers")
_CURVE = "row16 curve, "
_STEPS = 24


def read(path: Path = _BOOK) -> dict[str, Any]:
    """Read what was found; an empty book where there is none."""
    if not path.exists():
        return {}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def write(book: dict[str, Any]) -> None:
    """Write what was found."""
    text = json.dumps(book, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    _BOOK.write_text(text, encoding="utf-8")


def render_into(page: Path, book: dict[str, Any]) -> None:
    """Write the tables into a page, between the marks of each."""
    page.write_text(rendered(page.read_text(encoding="utf-8"), book), encoding="utf-8")


def rendered(text: str, book: dict[str, Any]) -> str:
    """Give the text of a page with its tables anew."""
    makers = {
        "suite": _suite,
        "controls": _controls,
        "curves": _curves,
        "measures": _measures,
        "peers": _peers,
    }
    for part in _PARTS:
        begin, end = f"<!-- {part}: made by bench/faults.py -->\n", f"<!-- end of {part} -->\n"
        before, mark, rest = text.partition(begin)
        _, end_mark, after = rest.partition(end)
        if mark and end_mark:
            text = before + mark + "\n" + "\n".join(makers[part](book)) + "\n\n" + end_mark + after
    return text


def _suite(book: dict[str, Any]) -> list[str]:
    lines = [
        "| | fault | how it is injected | what has to come of it | survived of tried | seeds |",
        "|---|---|---|---|---|---|",
    ]
    for number, row in sorted(book.get("suite", {}).get("rows", {}).items(), key=_number):
        how = row["injection"]
        if row["instead"]:
            how = f"{how}. *Not here:* {row['instead']}" if row["tried"] else row["instead"]
        counted = f"{row['survived']} of {row['tried']}" if row["tried"] else "not tried"
        cells = (number, row["fault"], how, row["expected"], counted, _span(row["seeds"]))
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _number(pair: tuple[str, Any]) -> int:
    return int(pair[0])


def _span(seeds: list[int]) -> str:
    found = sorted(set(seeds))
    if not found:
        return ""
    return f"{found[0]} to {found[-1]}" if len(found) > 1 else str(found[0])


def _controls(book: dict[str, Any]) -> list[str]:
    suite = book.get("suite", {})
    lines = ["| row | fault | without its safeguard |", "|---|---|---|"]
    for number, control in sorted(suite.get("controls", {}).items(), key=_number):
        fault = suite["rows"][number]["fault"]
        lines.append(f"| {number} | {fault} | {control['red']} of {control['tried']} fail |")
    return lines


def _curves(book: dict[str, Any]) -> list[str]:
    """Draw how the limits went, a line for each of some changes spread over the run."""
    found = book.get("suite", {}).get("measures", {})
    lines: list[str] = []
    for name in sorted(name for name in found if name.startswith(_CURVE)):
        curve = found[name][-1]
        step = max(1, -(-len(curve) // _STEPS))
        lines += [
            f"A source that answers 50 requests a second, {name.removeprefix(_CURVE)}:",
            "",
            "```",
        ]
        lines.append(" seconds  in flight  a second  because")
        for each in curve[::step]:
            rate = "" if each["rate"] is None else f"{each['rate']:.0f}"
            row = f"{each['seconds']:8.1f} {each['limit']:10d} {rate:>9}  {each['reason']}"
            lines.append(row)
        lines += ["```", ""]
    return lines or ["(not measured yet)"]


def _measures(book: dict[str, Any]) -> list[str]:
    lines = ["| measure | least | median | most | of |", "|---|---|---|---|---|"]
    for name, values in sorted(book.get("suite", {}).get("measures", {}).items()):
        flat = [each for each in values if isinstance(each, (int, float))]
        numbers = sorted(each for each in flat if not isinstance(each, bool))
        if numbers:
            middle = numbers[len(numbers) // 2]
            cells = (numbers[0], middle, numbers[-1])
            lines.append(f"| {name} | {' | '.join(map(_plain, cells))} | {len(numbers)} |")
    return lines


def _plain(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:,.3g}"


def _peers(book: dict[str, Any]) -> list[str]:
    peers = book.get("peers", {})
    faults = sorted(peers.get("faults", {}).items(), key=lambda pair: (pair[1]["row"], pair[0]))
    if not faults:
        return ["(not measured yet)"]
    names = list(faults[0][1]["tools"])
    # JSON sorts them; ours comes first
    names.sort(key=lambda name: (name != "oidkit", name))
    lines = [f"| row | fault | {' | '.join(names)} |", "|---|---|" + "---|" * len(names)]
    for words, found in faults:
        cells = [_cell(found["tools"][name]) for name in names]
        lines.append(f"| {found['row']} | {words} | {' | '.join(cells)} |")
    told = ", ".join(f"{name} {version}" for name, version in sorted(peers["versions"].items()))
    lines += ["", f"{peers['images']} images, {peers['rounds']} rounds with seeds from 0. {told}."]
    return lines


def _cell(found: dict[str, Any]) -> str:
    counted = f"{found['survived']} of {found['tried']}"
    return f"{counted}: {', '.join(found['failed'])}" if found["failed"] else counted
