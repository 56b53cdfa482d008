"""The books of a dataset folder: cut, garbage, newer, or with claims that are not true."""

from __future__ import annotations

import hashlib
import json
import random
import re
import shutil
from typing import TYPE_CHECKING

import pytest

from faults.datasets import every_third
from faults.runs import tree

if TYPE_CHECKING:
    from pathlib import Path

    from faults.runs import Folder

BOOKS = ("manifest.csv", "manifest.md5", "dataset.json", "recipe.toml")


def book(folder: Folder, name: str) -> Path:
    """Name one of the books."""
    return folder.out / ".oid" / name


def spoilt(data: bytes, rng: random.Random) -> bytes:
    """Cut a file, flip or exchange its bytes, or put some in."""
    at = rng.randrange(len(data))
    way = rng.randrange(5)
    if way == 0:
        return data[:at]
    if way == 1:
        return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
    if way == 2:
        return data[:at] + rng.randbytes(rng.randint(1, 200)) + data[at:]
    if way == 3:
        return data[at:] + data[:at]
    return rng.randbytes(rng.choice([0, 1, 1000, 300_000]))


def check_made_again(folder: Folder) -> None:
    """Run the command: it completes without a request for any image, or says what to do first."""
    server = folder.undisturbed.server
    server.reset()
    done = folder.run()
    assert "Traceback" not in done.err
    if done.code == 2:
        # what the folder holds is not known: the sentence names one file to remove
        assert re.fullmatch(r"oid: [^\n]+dataset\.json cannot be read[^\n]+\n", done.err), done.err
        book(folder, "dataset.json").unlink()
        done = folder.run()
    folder.check_complete(done)
    asked = [each.path for each in server.log]
    assert not [path for path in asked if path.endswith(".jpg")]


@pytest.mark.row(39)
@pytest.mark.seeds(3, 80)
def test_a_manifest_that_is_spoilt_anyhow(whole: Folder, seed: int) -> None:
    """Cut, flipped, garbage: what stands on the disk is looked at, and nothing comes again."""
    rng = random.Random(seed)
    path = book(whole, "manifest.csv")
    path.write_bytes(spoilt(path.read_bytes(), rng))
    check_made_again(whole)


@pytest.mark.row(39)
@pytest.mark.seeds(2, 40)
def test_a_journal_that_is_spoilt_anyhow(whole: Folder, seed: int) -> None:
    """The rows of a killed run count where they are whole; the others are looked up on the disk."""
    import zlib

    rng = random.Random(seed)
    path = book(whole, "manifest.csv")
    rows = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()[1:]]
    texts = [json.dumps(row).encode() for row in rows]
    lines = b"".join(b"%08x %s\n" % (zlib.crc32(text), text) for text in texts)
    path.unlink()
    book(whole, "manifest.md5").unlink()
    book(whole, f"journal-{seed:012x}.jsonl").write_bytes(spoilt(lines, rng))
    check_made_again(whole)


@pytest.mark.row(39)
@pytest.mark.seeds(1, 20)
@pytest.mark.parametrize("name", BOOKS[1:])
def test_another_book_that_is_spoilt_anyhow(whole: Folder, name: str, seed: int) -> None:
    """The checksum and the recipe are made again; a description that cannot be read is said so."""
    rng = random.Random(seed)
    path = book(whole, name)
    good = path.read_bytes()
    path.write_bytes(bad := spoilt(good, rng))
    done = whole.run()
    assert "Traceback" not in done.err
    if name != "dataset.json":
        whole.check_complete(done)
    elif done.code == 2:
        assert re.fullmatch(r"oid: [^\n]+\n", done.err), done.err
        assert path.read_bytes() == bad
        path.unlink()
        whole.check_complete(whole.run())
    else:
        assert done.code == 0, done.err


@pytest.mark.row(39)
@pytest.mark.parametrize(
    "claim",
    [
        "../../outside.jpg,image,open-images-dataset/train/0000000000000000.jpg,ok,6,1,1,md5:00,",
        "/etc/passwd,annotations,,ok,6,0,0,md5:00,",
        "C:\\outside.jpg,image,k,ok,6,1,1,md5:00,",
        "images/train/../../../outside.jpg,image,k,ok,6,1,1,md5:00,",
        "csv/link/passwd,annotations,,ok,6,0,0,md5:00,",
    ],
)
@pytest.mark.parametrize("signed", [False, True])
def test_a_manifest_that_claims_other_places(whole: Folder, claim: str, *, signed: bool) -> None:
    """A path that leads out is not believed, even with the right checksum: nothing is written."""
    outside = whole.root / "outside.jpg"
    outside.write_bytes(b"canary")
    path = book(whole, "manifest.csv")
    path.write_bytes(path.read_bytes() + claim.encode() + b"\n")
    if signed:
        _sign(whole)
    places = ["--cache", whole.cache, "--source", whole.url, "--quiet"]
    whole.run("verify", whole.out, "--repair", *places)
    assert whole.run().code == 0
    assert outside.read_bytes() == b"canary"
    passwd = "root:"
    assert passwd not in path.read_text(encoding="utf-8")


def _sign(folder: Folder) -> None:
    data = book(folder, "manifest.csv").read_bytes()
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
    book(folder, "manifest.md5").write_text(f"{digest}\n")


@pytest.mark.row(39)
def test_claims_of_other_sizes_and_hashes(whole: Folder) -> None:
    """Files of another size are fetched again; another hash is found and mended by `verify`."""
    path = book(whole, "manifest.csv")
    text = path.read_text(encoding="utf-8")
    jpg = next(line for line in text.splitlines() if ".jpg" in line)
    png = next(line for line in text.splitlines() if "mask," in line)
    fields = jpg.split(",")
    fields[4] = "1"
    wrong = re.sub(r"crc32:........", "crc32:00000000", png)
    path.write_text(text.replace(jpg, ",".join(fields)).replace(png, wrong), encoding="utf-8")
    _sign(whole)
    assert whole.run().code == 0
    places = ["--cache", whole.cache, "--source", whole.url, "--quiet"]
    assert whole.run("verify", whole.out).code == 6
    assert whole.run("verify", whole.out, "--repair", *places).code == 0
    whole.check_complete(whole.run())


@pytest.mark.row(39)
@pytest.mark.parametrize("newer", ["columns", "format", "field", "selection"])
@pytest.mark.parametrize("command", every_third(["download", "verify", "export"]))
def test_a_folder_of_a_newer_version(whole: Folder, newer: str, command: str) -> None:
    """What this version does not know is left as it is, with one sentence: update."""
    if newer == "columns":
        path = book(whole, "manifest.csv")
        lines = path.read_text(encoding="utf-8").splitlines()
        more = [f"{line},{'x' if at else 'licence'}" for at, line in enumerate(lines)]
        path.write_text("\n".join(more) + "\n", encoding="utf-8")
        _sign(whole)
    else:
        path = book(whole, "dataset.json")
        plain = json.loads(path.read_bytes())
        if newer == "format":
            plain["format"] = 2
        elif newer == "field":
            plain["shelf"] = "3b"
        else:
            plain["selections"][0]["mood"] = "good"
        path.write_text(json.dumps(plain), encoding="utf-8")
    before = tree(whole.out)
    commands: dict[str, list[object]] = {
        "download": [*whole.download()],
        "verify": ["verify", whole.out, "--repair", "--cache", whole.cache],
        "export": ["export", whole.out, "--format", "csv", "--out", whole.root / "export"],
    }
    done = whole.run(*commands[command])
    assert done.code == 2, done.err
    assert re.fullmatch(r"oid: [^\n]+ newer oidkit; update oidkit[^\n]+\n", done.err), done.err
    assert tree(whole.out) == before


@pytest.mark.row(39)
@pytest.mark.parametrize("name", every_third([*BOOKS, "journal-000000000000.jsonl"]))
@pytest.mark.parametrize("what", ["folder", "huge"])
def test_what_else_may_stand_in_a_books_place(whole: Folder, name: str, what: str) -> None:
    """A folder, or 60 MB of one byte: one sentence that names it, or it is made again."""
    path = book(whole, name)
    path.unlink(missing_ok=True)
    if what == "folder":
        path.mkdir()
    else:
        path.write_bytes(b"[" * 60_000_000)
    done = whole.run()
    assert "Traceback" not in done.err
    if done.code:
        assert done.code in {2, 5}
        assert name in done.err
        assert done.err.count("\n") == 1
        shutil.rmtree(path) if what == "folder" else path.unlink()
        done = whole.run()
    elif what == "folder" and path.exists():
        path.rmdir()
    whole.check_complete(done)
