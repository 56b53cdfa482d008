"""What the commands of `oid` print, for people and for machines."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import cli_runs
from cli_runs import oid, sentence
from oidkit import catalog
from oidkit.cli import main
from oidkit.cli.classes import drawn

if TYPE_CHECKING:
    from oidkit.testing import MirrorServer

own_settings = pytest.fixture(autouse=True)(cli_runs.own_settings)
mirror = pytest.fixture(scope="session")(cli_runs.made_mirror)
served = pytest.fixture(cli_runs.served_mirror)


# -- classes ------------------------------------------------------------------------------------


def test_classes_line_up_for_people(mirror: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Name, MID and what there is, in columns."""
    assert main(["classes", "gun", "--source", str(mirror)]) == 0
    printed = capsys.readouterr()
    rows = [line.split() for line in printed.out.splitlines()]
    assert ["Handgun", "/m/0gxl3", "boxes", "masks"] in rows
    assert len({line.index("/m/") for line in printed.out.splitlines()}) == 1
    assert printed.err == ""


def test_classes_as_json_and_csv_say_the_same(
    mirror: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both formats read back to the same classes, with the counts of every split."""
    arguments = ["classes", "n", "--counts", "--source", str(mirror)]
    assert main([*arguments, "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert main([*arguments, "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == len(listed) > 5
    for row, one in zip(rows, listed, strict=True):
        assert (row["LabelName"], row["DisplayName"]) == (one["mid"], one["name"])
        assert (row["Boxable"], row["Segmentable"]) == (
            str(int(one["boxable"])),
            str(int(one["segmentable"])),
        )
        for split, counts in one["counts"].items():
            assert not [kind for kind, n in counts.items() if row[f"{split}_{kind}"] != str(n)]
    assert any(one["counts"]["train"]["boxes"] for one in listed)


def test_counts_for_people_name_every_split(
    mirror: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--counts` puts a line for each split below the class, with the rows of the CSV."""
    path = mirror / "openimages/v6/oidv6-train-annotations-bbox.csv"
    with path.open(encoding="utf-8", newline="") as file:
        boxes = [row["ImageID"] for row in csv.DictReader(file) if row["LabelName"] == "/m/0gxl3"]
    assert main(["classes", "Handgun", "--counts", "--source", str(mirror)]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert [line.split()[0] for line in lines] == ["Handgun", *catalog.SPLITS]
    assert lines[1].startswith(f"train {len(set(boxes))} images {len(boxes)} boxes ")


def test_no_class_found_is_a_hint_and_no_error(
    mirror: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing found is an answer: exit 0, the nearest on stderr, JSON still JSON."""
    assert main(["classes", "hangun", "--json", "--source", str(mirror)]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == []
    assert "no class contains 'hangun'; the nearest: Handgun (/m/0gxl3)" in printed.err


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_names_survive_any_encoding(mirror: Path, encoding: str) -> None:
    """A legacy console escapes what it lacks; CSV is UTF-8 everywhere, JSON is ASCII."""
    arguments = ("classes", "/m/02sjdf", "--all", "--source", str(mirror))
    done = oid(*arguments, PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert done.returncode == 0, done.stderr
    assert "/m/02sjdf" in done.stdout
    done = oid(*arguments, "--csv", PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert "Żubrówka" in done.stdout
    done = oid(*arguments, "--json", PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert json.loads(done.stdout)[0]["name"] == "Żubrówka"


def test_the_tree_is_drawn_with_what_the_encoding_has(mirror: Path) -> None:
    """Lines where there are lines, ASCII where there are none."""
    arguments = ("classes", "--tree", "--source", str(mirror))
    fine = oid(*arguments, PYTHONIOENCODING="utf-8").stdout
    plain = oid(*arguments, PYTHONIOENCODING="ascii").stdout
    assert "├── " in fine
    assert plain == fine.replace("├──", "|--").replace("└──", "`--").replace("│", "|")


def test_a_tree_has_rails_where_siblings_follow() -> None:
    """Corners end a row of siblings, rails run past what is below, parts are marked."""
    nodes = [(0, "a", False), (1, "b", False), (2, "c", True), (1, "d", False), (2, "e", False)]
    tree = [(depth, f"/m/{name}", name, part) for depth, name, part in [*nodes, (0, "f", False)]]
    assert drawn(tree) == [
        "a (/m/a)",
        "├── b (/m/b)",
        "│   └── c (/m/c) (part)",
        "└── d (/m/d)",
        "    └── e (/m/e)",
        "f (/m/f)",
    ]


# -- download, verify, fetch, split, index ------------------------------------------------------


def test_download_prints_one_json_object_and_nothing_else(served: MirrorServer) -> None:
    """With --json stdout is the summary alone, while progress goes to stderr."""
    done = oid("download", "handgun", "--out", "out", "--json", "--source", served.url)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert set(summary) == {
        *("images", "masks", "annotations", "received_bytes", "requests"),
        *("seconds", "missing", "out"),
    }
    counts = {"asked", "fetched", "present", "missing", "failed", "bytes"}
    assert set(summary["images"]) == set(summary["masks"]) == counts
    assert summary["images"]["fetched"] == summary["images"]["asked"] > 0
    assert summary["received_bytes"] == served.bytes_sent
    assert summary["requests"] == served.requests
    assert "images: " in done.stderr


def test_a_dry_run_promises_what_the_run_does(
    mirror: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The plan has the numbers of the summary, and writes no folder."""
    arguments = ["download", "Handgun", "Shotgun", "--source", str(mirror), "--out", "out"]
    assert main([*arguments, "--dry-run", "--json", "--quiet"]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert not Path("out").exists()
    assert main([*arguments, "--dry-run", "--quiet"]) == 0
    printed = capsys.readouterr()
    assert f"{planned['images']['to_fetch']} to fetch" in printed.out
    assert "to receive   about " in printed.out
    assert printed.err == ""
    assert main([*arguments, "--json", "--quiet"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["annotations"] == planned["annotations"]
    assert summary["images"]["asked"] == planned["images"]["asked"] > 0
    assert summary["masks"]["asked"] == planned["masks"]["asked"] > 0


def test_a_download_is_summed_up_for_people(
    mirror: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without --json a few lines say what came; the second time that all was there."""
    arguments = ["download", "Handgun", "--source", str(mirror), "--out", "out", "--quiet"]
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [
        *("images", "masks", "boxes", "received", "folder", "next")
    ]
    assert " fetched, " in lines[0]
    assert main(arguments) == 0
    assert " there before)" in capsys.readouterr().out.splitlines()[0]


def test_the_summary_lines_up_whatever_it_counts(
    mirror: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A label type with a long name moves all the values, that of the last line too."""
    line = ["download", "Handgun", "--labels", "image-labels", "--source", str(mirror), "--quiet"]
    assert main(line) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("image-labels  ")
    assert {line[12:14] for line in lines} == {"  "}
    assert " " not in {line[14] for line in lines}


def test_a_folder_by_its_address_is_a_folder(
    mirror: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What file:// names needs disk, is called a folder, and has an export beside it."""
    place = Path("by address").absolute().as_uri()
    line = ["download", "Handgun", "--source", str(mirror), "--out", place, "--quiet"]
    assert main([*line, "--dry-run"]) == 0
    *_, disk, folder = capsys.readouterr().out.splitlines()
    assert (disk.split()[0], folder.split()[0]) == ("disk", "folder")
    assert main([*line, "--export", "csv"]) == 0
    assert Path("by address-csv").is_dir()
    capsys.readouterr()
    assert main(["verify", place, "--quiet", "--source", str(mirror)]) == 0
    assert "0 absent from the folder" in capsys.readouterr().out


def test_flags_and_classes_mix(mirror: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Classes may stand on both sides of flags and in a file, splits repeat, labels are a list."""
    Path("more.txt").write_text("\ufeff# guns\n\n  Rifle \r\n/m/0gxl3\n", encoding="utf-8")
    line = "download Handgun --split train Shotgun --split train --split test --labels boxes,boxes"
    more = ["--classes-from", "more.txt", "--no-images", "--no-metadata", "--quiet", "--json"]
    assert main([*line.split(), *more, "--source", str(mirror)]) == 0
    assert set(json.loads(capsys.readouterr().out)["annotations"]) == {"boxes"}
    written = {path.name for path in Path("open-images/csv").iterdir()}
    stems = ("m0gxl3", "m06nrc", "m06c54")
    assert written == {
        "class-descriptions-boxable.csv",
        *(f"{stem}_{split}_boxes.csv" for stem in stems for split in ("train", "test")),
    }


def test_missing_objects_are_told_and_exit_with_3(
    served: MirrorServer, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """What the source lacks is counted on stderr, with the file that lists it."""
    ids = tmp_path / "ids.txt"
    ids.write_text("train/00000000000000ff\n", encoding="utf-8")
    arguments = ["fetch", str(ids), "--download-folder", "flat", "--source", served.url]
    assert main([*arguments, "--num_processes", "2", "--json", "--quiet"]) == 3
    printed = capsys.readouterr()
    assert json.loads(printed.out)["images"]["missing"] == 1
    said = "oid: 1 object is not at the source, as listed in flat/.oid/manifest.csv\n"
    assert printed.err == said
    assert "00000000000000ff" in Path("flat/.oid/manifest.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize("more", [["--dry-run"], []])
def test_nothing_that_fits_is_told_and_no_error(
    mirror: Path, capsys: pytest.CaptureFixture[str], more: list[str]
) -> None:
    """A summary of zeros leaves nobody in doubt whether something went wrong."""
    arguments = [
        "download",
        "Handgun",
        "--min-area",
        "1",
        "--source",
        str(mirror),
        *more,
        "--quiet",
    ]
    assert main(arguments) == 0
    said = capsys.readouterr().err
    assert said == (
        "oid: nothing fits what was asked for; see how many images a class has: "
        "oid classes NAME --counts\n"
    )


def test_fetch_takes_the_list_of_a_download(
    mirror: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The ids of a download, fetched flat, are the same images."""
    source = ["--source", str(mirror), "--quiet"]
    assert main(["download", "Handgun", "--split", "train", *source]) == 0
    ids = "open-images/downloader_IDs_for_m0gxl3_train.txt"
    assert main(["fetch", ids, "--download_folder", "flat", *source]) == 0
    flat = {path.name: path.read_bytes() for path in Path("flat").glob("*.jpg")}
    folder = Path("open-images/images/train/handgun_m0gxl3")
    assert flat == {path.name: path.read_bytes() for path in folder.iterdir()}
    assert capsys.readouterr().err == ""


def test_split_writes_the_two_files_of_the_script(
    mirror: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By name or MID; files with other content are replaced with --force alone."""
    path = mirror / "openimages/v6/oidv6-train-annotations-bbox.csv"
    line = ["split", "--label", "Handgun", "--label", "/m/06nrc", "--subset", "train"]
    line += ["--input", str(path), "--output-dir", "cut", "--source", str(mirror)]
    assert main(line) == 0
    out = capsys.readouterr().out
    for stem in ("m0gxl3", "m06nrc"):
        for name in (f"downloader_IDs_for_{stem}_train.txt", f"{stem}_annotations.csv"):
            assert name in out
            assert (Path("cut") / name).is_file()
    kept = Path("cut/m0gxl3_annotations.csv")
    right = kept.read_bytes()
    kept.write_bytes(b"mine\n")
    assert main(line) == 2
    assert "m0gxl3_annotations.csv is there with other content" in sentence(capsys)
    assert kept.read_bytes() == b"mine\n"
    assert main([*line, "--force", "--json"]) == 0
    assert kept.read_bytes() == right
    first, second = json.loads(capsys.readouterr().out)
    assert (first["mid"], second["mid"]) == ("/m/0gxl3", "/m/06nrc")
    assert Path(first["annotations_file"]) == kept
    assert first["rows"] == right.count(b"\n") - 1
    assert Path(first["ids_file"]).read_text().count("\n") == first["images"]


def test_verify_lists_what_is_wrong_and_repairs_it(
    mirror: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line for each damaged, absent and foreign file, then the counts; 6, 0 after --repair."""
    assert main(["download", "Handgun", "--source", str(mirror), "--out", "out", "--quiet"]) == 0
    capsys.readouterr()
    damaged, absent = sorted(Path("out/images/train/handgun_m0gxl3").iterdir())[:2]
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    absent.unlink()
    Path("out/csv/mine.txt").write_text("mine", encoding="utf-8")
    verify = ["verify", "out", "--quiet", "--source", str(mirror)]
    assert main(verify) == 6
    printed = capsys.readouterr()
    *lines, counts = printed.out.splitlines()
    assert [line.split() for line in lines] == [
        ["damaged", damaged.relative_to("out").as_posix()],
        ["absent", absent.relative_to("out").as_posix()],
        ["foreign", "csv/mine.txt"],
    ]
    assert "1 damaged, 1 absent from the folder, 0 missing at the source, 1 foreign" in counts
    assert "oid: 2 files are damaged or absent; add --repair" in printed.err
    assert main([*verify, "--repair", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["repaired"], report["damaged"], report["absent"]) == (2, [], [])
    assert main(verify) == 0


def test_index_builds_and_then_shows(mirror: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What `index build` lists is what `index info` finds; an empty cache says how to fill it."""
    assert main(["index", "info"]) == 0
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "fill it with: oid index build" in printed.err
    line = ["index", "build", "--split", "test", "--labels", "masks", "--no-metadata"]
    assert main([*line, "--source", str(mirror), "--json", "--quiet"]) == 0
    built = json.loads(capsys.readouterr().out)
    assert sum(entry["kind"] == "mask directory" for entry in built) == 16
    assert main(["index", "info", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == built
    assert main(["index", "info"]) == 0
    assert f"{len(built)} entries, " in capsys.readouterr().out


def test_the_demo_needs_no_network_and_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever source, release or proxy is set, it leaves images, masks and boxes, twice."""
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for before in (False, True):
        done = oid("demo", "--out", "demo", OID_SOURCE="official", OID_RELEASE="v4")
        assert done.returncode == 0, done.stderr
        assert "Real data comes with: oid download Handgun" in done.stdout
        assert ("there before" in done.stdout) == before
    shown = [Path(line.strip()) for line in done.stdout.splitlines() if line.startswith("    demo")]
    assert len(shown) == 6
    assert not [path for path in shown if not path.is_file()]


# -- real files ---------------------------------------------------------------------------------

REAL = {
    "Person --split validation": (0, {"fetched": 61, "bytes": 21_299_917}, 0, 110),
    "apple orange --split validation": (0, {"fetched": 86}, 0, 229),
    "Apple Orange --match all --split validation": (0, {"asked": 0}, 0, 0),
    "Dog Pizza Taxi --split train": (0, {"fetched": 10}, 15, 15),
    "Human_foot --split train": (3, {"fetched": 0, "missing": 962}, 0, 2_189),
}


@pytest.mark.parametrize("asked", REAL)
def test_the_sample_gives_the_numbers_of_the_real_files(
    sample: Path, asked: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Images, masks and boxes are as counted in the published files."""
    code, images, masks, boxes = REAL[asked]
    line = ["download", *asked.split(), "--source", str(sample), "--json", "--quiet"]
    assert main(line) == code
    summary = json.loads(capsys.readouterr().out)
    assert summary["images"] | images == summary["images"]
    assert (summary["masks"]["fetched"], summary["annotations"]["boxes"]) == (masks, boxes)
    assert len(summary["missing"]) == min(images.get("missing", 0), 100)
