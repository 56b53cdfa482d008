"""Bad rows of every label type, files that are cut or empty, kills, and the real sample."""

from __future__ import annotations

import csv
import json
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from label_oracle import LABELS, Asked, Published, expected
from mirrors import run, start
from oidkit.api import Settings, download
from oidkit.errors import IntegrityError, MalformedError
from oidkit.events import Rejected
from oidkit.selection import Selection
from oidkit.testing import MirrorServer, PerSplit, ReleaseSpec, make_release
from oracle import differences, tree_of

if TYPE_CHECKING:
    from pathlib import Path

    from oidkit.events import Event

PERSON, HANDGUN = "/m/01g317", "/m/0gxl3"
IMAGE = "00000000000000a1"
SPEC = ReleaseSpec(
    seed=8,
    releases=("v7",),
    labels=("boxes", "image-labels", "relationships", "points", "narratives"),
    images=PerSplit(4, 130, 4),
    boxes_per_image=4.0,
    jpegs=0,
)
KEYS = {
    "image-labels": "openimages/v7/oidv7-val-annotations-human-imagelabels.csv",
    "relationships": "openimages/v6/oidv6-validation-annotations-vrd.csv",
    "points": "openimages/v7/oidv7-val-annotations-point-labels.csv",
    "narratives": "localized-narratives/annotations/"
    "open_images_validation_localized_narratives.jsonl",
}
MACHINE = "openimages/v7/oidv7-val-annotations-machine-imagelabels.csv"
TOLD = json.dumps({"image_id": IMAGE, "caption": 'A wörd, "quoted" and \u2028 split.'})


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Give the files of a made release that the tests damage, and the others that they need."""
    root = make_release(tmp_path_factory.mktemp("sound") / "mirror", SPEC).root
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


class Place:
    """A mirror folder that a test may damage."""

    def __init__(self, root: Path, texts: dict[str, bytes]) -> None:
        self.mirror, self.cache, self.out = (root / name for name in ("m", "cache", "out"))
        for key, content in texts.items():
            path = self.mirror / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        self.events: list[Event] = []

    def download(self, label: str, **fields: Any) -> dict[str, bytes]:
        """Download the label type of two classes, and give the tree."""
        self.events.clear()
        usual: dict[str, Any] = {
            "classes": (PERSON, HANDGUN),
            "splits": ("validation",),
            "labels": ("boxes", label),
            "images": False,
            "metadata": False,
        }
        settings = Settings(str(self.mirror), self.cache)
        wanted = Selection(**usual | fields)
        download(wanted, self.out, settings=settings, on_event=self.events.append)
        return tree_of(self.out)

    def rejects(self) -> list[list[str]]:
        """Give what was set aside: line, reason, text."""
        (told,) = {event for event in self.events if isinstance(event, Rejected)}
        (path,) = self.cache.rglob("rejects.csv")
        with path.open(encoding="utf-8", newline="") as file:
            _, *rows = csv.reader(file)
        assert told.rows == len(rows)
        return rows


@pytest.fixture
def place(tmp_path: Path, texts: dict[str, bytes]) -> Place:
    """Give a copy of the made release."""
    return Place(tmp_path, texts)


def sides(nth: int, value: str = "0.1") -> str:
    """Write the coordinates of one of the boxes of a relationship."""
    return f"{value},0.5,0.1,0.5" if nth == 1 else f"0.1,0.5,0.1,{value}"


BAD = [
    *(
        ("image-labels", f"{IMAGE},verification,{PERSON},{number}", "Confidence")
        for number in ("nan", "2", "-1", "", "1e3", "inf", "0x1", "１")  # noqa: RUF001
    ),
    ("image-labels", f"{IMAGE[1:]},verification,{PERSON},1", "ImageID"),
    ("image-labels", f"{IMAGE},verification,{PERSON}", "3 fields"),
    ("image-labels", f'{IMAGE},"a,b",{PERSON},1', "5 fields"),
    ("image-labels", f"{IMAGE},verification,{PERSON}\0,1", "NUL"),
    ("relationships", f"{IMAGE},{PERSON},{PERSON},{sides(1, '1.2')},{sides(2)},at", "XMin1"),
    ("relationships", f"{IMAGE},{PERSON},{PERSON},{sides(1)},{sides(2, '-0.1')},at", "YMax2"),
    ("relationships", f"{IMAGE},{PERSON},{PERSON},{sides(1, '0.6')},{sides(2)},at", "larger"),
    ("relationships", f"{IMAGE},{PERSON},Person,{sides(1)},{sides(2)},at", "LabelName2"),
    ("points", f"{IMAGE},0.5,1.01,{PERSON},yes,ih,1,0,0,person", "Y "),
    ("points", f'{IMAGE},0.5,0.5,{PERSON},yes,ih,1,0,0,"person', "not CSV"),
    ("points", f'{IMAGE},0.5,0.5,{PERSON},yes,ih,1,0,0,"per"son', "not CSV"),
    ("points", f"{IMAGE},0.5,0.5,{PERSON},yes,ih,1,0,0,per,son", "11 fields"),
    ("narratives", TOLD[:-5], "no JSON"),
    ("narratives", TOLD + " x", "no JSON"),
    ("narratives", '{"image_id": 1234567890123456}', "no JSON"),
    ("narratives", f'{{"image_id": ["{IMAGE}"]}}', "no JSON"),
    ("narratives", f'[{{"image_id": "{IMAGE}"}}]', "no JSON"),
    ("narratives", f'{{"image": {{"image_id": "{IMAGE}"}}}}', "no JSON"),
    ("narratives", '{"image_id": null}', "no JSON"),
    ("narratives", TOLD.replace(IMAGE, IMAGE.upper()), "no JSON"),
    ("narratives", TOLD.replace("split", "sp\0lit"), "no JSON"),
    ("narratives", "", "no JSON"),
]


@pytest.mark.parametrize(("label", "row", "reason"), BAD, ids=[str(n) for n in range(len(BAD))])
def test_a_bad_row_is_set_aside(place: Place, label: str, row: str, reason: str) -> None:
    """One bad row is named with its line and reason, and everything else is as without it."""
    path = place.mirror / KEYS[label]
    lines = path.read_bytes().split(b"\n")
    assert len(lines) > 120, "one bad row is more than 1 %"
    path.write_bytes(b"\n".join([*lines[:50], row.encode(), *lines[50:]]))
    found = place.download(label)
    ((line, why, text),) = place.rejects()
    assert (line, text) == ("51", row.replace("\0", "\\x00"))
    assert reason in why
    path.write_bytes(b"\n".join(lines))
    place.out = place.out.with_name("sound")
    assert differences(found, place.download(label)) == []


@pytest.mark.parametrize("label", KEYS)
def test_many_bad_rows_are_an_error(place: Place, label: str) -> None:
    """With more than 1 % of bad rows nothing is written, and the first of them is named."""
    path = place.mirror / KEYS[label]
    lines = path.read_bytes().split(b"\n")
    bad = [b"bad"] * (len(lines) // 50)
    path.write_bytes(b"\n".join([*lines[:9], *bad, *lines[9:]]))
    with pytest.raises(MalformedError, match=r"more than 1 % \(line 10: "):
        place.download(label)
    assert not (place.out / "csv").exists()


def check(place: Place, label: str, **fields: Any) -> None:
    """Compare with the oracle, which reads the mirror as it is now."""
    usual: dict[str, Any] = {"splits": ("validation",), "images": False, "metadata": False}
    fields = usual | fields
    asked = Asked((PERSON, HANDGUN), ("boxes", label), **fields)
    want = expected(Published(place.mirror, "v7"), asked)
    assert differences(place.download(label, **fields), want.tree) == []
    assert not any(isinstance(event, Rejected) for event in place.events)


@pytest.mark.parametrize("label", KEYS)
def test_line_ends_and_byte_order_marks(place: Place, label: str) -> None:
    """CRLF, a byte-order mark, and a last line without an end change nothing."""
    path = place.mirror / KEYS[label]
    before = place.download(label)
    text = path.read_bytes()
    path.write_bytes(b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n").rstrip(b"\r\n"))
    place.out = place.out.with_name("again")
    assert differences(place.download(label), before) == []
    assert not any(isinstance(event, Rejected) for event in place.events)


@pytest.mark.parametrize("label", KEYS)
@pytest.mark.parametrize("rows", [0, 1])
def test_a_file_of_hardly_any_row(place: Place, label: str, rows: int) -> None:
    """A file of a header alone or of one row is whole, and so are narratives of no byte."""
    for key in (KEYS[label], MACHINE) if label == "image-labels" else (KEYS[label],):
        path = place.mirror / key
        first = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(first[: rows + (label != "narratives")]))
    check(place, label, annotations="all")


@pytest.mark.parametrize("label", list(KEYS)[:3])
def test_an_empty_csv(place: Place, label: str) -> None:
    """A CSV without a header is an error that names it."""
    (place.mirror / KEYS[label]).write_bytes(b"")
    with pytest.raises(IntegrityError, match=f"{KEYS[label]} is empty"):
        place.download(label)


def test_machine_labels_of_other_columns(place: Place) -> None:
    """Two files whose rows belong into one, and do not fit, are an error that names both."""
    path = place.mirror / MACHINE
    header, *rows = path.read_text(encoding="utf-8").splitlines()
    text = "".join(f"{line}\n" for line in [f"{header},Model", *(f"{row},x" for row in rows)])
    path.write_text(text, encoding="utf-8")
    with pytest.raises(MalformedError, match=r"machine-imagelabels.*other columns than.*human"):
        place.download("image-labels")


def test_quoted_texts_of_points(place: Place) -> None:
    """Commas and quotes in TextLabel survive as they are, quoted only where they have to be."""
    path = place.mirror / KEYS["points"]
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    texts = ['gourd, and "melon"', '"', "plain", 'a"b', ",", "Żubrówka", " spaced ", '""', "'"]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([*row[:-1], texts[nth % len(texts)]] for nth, row in enumerate(rows))
    check(place, "points", annotations="all")


def test_narratives_of_many_forms(place: Place) -> None:
    """Long lines, odd keys, keys that stand twice and escaped ids are kept byte for byte."""
    path = place.mirror / KEYS["narratives"]
    ids = [json.loads(line)["image_id"] for line in path.read_text().splitlines()][:7]
    last = f'{{"image_id": "{ids[4]}", "a": "b", "image_id": "{ids[5]}"}}'
    lines = [
        json.dumps({"image_id": ids[0], "traces": "x" * 6_000_000}),
        f' {{ "caption" : "ünïcode \u2028 \U0001f600", "image_id":"{ids[1]}" }} ',
        f'{{"image_id": "\\u{ord(ids[2][0]):04x}{ids[2][1:]}", "$.image_id": 1}}',
        json.dumps({"caption": {"image_id": ids[3]}, "image_id": ids[4]}),
        last,
        *(json.dumps({"image_id": ids[6], "nth": nth}) for nth in (2, 1, 3)),
    ]
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())
    check(place, "narratives", annotations="all")


# -- a run that is killed -------------------------------------------------------------------------


def test_kill_while_narratives_are_read(place: Place) -> None:
    """A run killed in the middle of a narratives file ends, run again, in the same tree."""
    path = place.mirror / KEYS["narratives"]
    lines = path.read_text(encoding="utf-8").splitlines()
    long = [
        json.dumps({"image_id": json.loads(each)["image_id"], "t": "x" * 300_000}) for each in lines
    ]
    path.write_text("".join(f"{line}\n" for line in long), encoding="utf-8")
    with MirrorServer(place.mirror) as server:
        command = ["download", PERSON, "--labels", "narratives", "--split", "validation", "--quiet"]
        command += ["--no-images", "--no-metadata", "--source", server.url]
        places = [f"--cache={place.cache}", f"--out={place.out}"]
        server.bandwidth = 8_000_000.0
        process = start(*command, *places, stderr=subprocess.DEVNULL)
        while process.poll() is None and server.bytes_sent < 24_000_000:
            time.sleep(0.01)
        assert process.poll() is None, "it ended before it was killed"
        process.kill()
        process.communicate()
        server.bandwidth = None
        server.reset()
        done = run(*command, *places)
        assert done.returncode == 0, done.stderr.decode()
        ranges = [each.range for each in server.log if each.path == KEYS["narratives"]]
        assert ranges[0], "the blocks that were read are read again"
        calm = run(*command, f"--cache={place.cache}-2", f"--out={place.out}-2")
        assert calm.returncode == 0, calm.stderr
    found = tree_of(place.out)
    assert found["csv/m01g317_validation_narratives.jsonl"]
    assert differences(found, tree_of(place.out.with_name("out-2"))) == []


# -- real files -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"labels": ("relationships",)},
        {"labels": ("relationships",), "annotations": "all", "subclasses": True},
        {"labels": ("image-labels",)},
        {"labels": ("image-labels",), "label_source": "machine", "min_confidence": 0.8},
        {"labels": ("image-labels",), "label_source": "human", "negatives": True},
        {"labels": ("boxes", "image-labels"), "annotations": "all", "min_confidence": 0.6},
    ],
    ids=str,
)
def test_real_files(sample: Path, tmp_path: Path, fields: dict[str, Any]) -> None:
    """What the csv module makes of the real files is what is downloaded, in all splits."""
    release = Published(sample, "v7")
    counts: dict[str, int] = {}
    label = next(each for each in LABELS[2:] if each in fields["labels"])
    known = release.boxable.names if label == "relationships" else release.every_name
    for kind in Asked((), fields["labels"]).kinds(label):
        for split in ("train", "validation", "test"):
            for line in release.lines(kind, split)[1]:
                # An attribute has image labels at the most: with relationships it is no class.
                for mid in {*line.classes} & known.keys():
                    counts[mid] = counts.get(mid, 0) + 1
    classes = tuple(sorted(counts, key=lambda mid: (-counts[mid], mid))[:4])
    asked = Asked(classes, images=False, **fields)
    want = expected(release, asked)
    assert want.rows[label]
    settings = Settings(str(sample), tmp_path / "cache", "v7")
    events: list[Event] = []
    wanted = Selection(classes, images=False, **fields)
    summary = download(wanted, tmp_path / "out", settings=settings, on_event=events.append)
    assert differences(tree_of(tmp_path / "out"), want.tree) == []
    assert summary.annotations == want.rows
    assert not any(isinstance(event, Rejected) for event in events)
