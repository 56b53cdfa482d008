"""The faults that are tried, one by one: the rows of the table in docs/concepts/reliability.md."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CONTROLLED", "ROWS", "Row"]


@dataclass(frozen=True, slots=True)
class Row:
    """One fault: what goes wrong, how it is made to, and what has to come of it.

    `instead` says what stands in the place of a fault that cannot be injected here.
    """

    number: int
    fault: str
    injection: str
    expected: str
    instead: str = ""


_EVERY = (
    Row(
        1,
        "killed at any moment",
        "`SIGKILL` to the process group at a seeded share of the run, then the same command",
        "the undisturbed tree; nothing partial at a final name; little comes again",
    ),
    Row(
        2,
        "killed at any system call",
        "`strace --inject` kills at each write, rename and fsync of a run over few images, and at "
        "24 of the links, unlinks and opens, spread evenly",
        "the undisturbed tree for every K",
    ),
    Row(
        3,
        "killed in an export",
        "as row 1, in COCO, YOLO and WebDataset exports",
        "the old export or the new one, never a mixture",
    ),
    Row(
        4,
        "data that was never synced is lost",
        "ext4 in a file, shut down while the run works (`EXT4_IOC_SHUTDOWN`) and mounted again",
        "no record claims a file that is not whole; the same command completes",
    ),
    Row(
        5,
        "Ctrl-C once, twice, a polite kill",
        "`SIGINT`, `SIGTERM`",
        "exit 130 within five seconds; the same command again completes",
    ),
    Row(
        6,
        "a body is cut, once or always",
        "the origin and the proxy close in the middle",
        "fetched again; when it is always cut: failed, exit 4",
    ),
    Row(
        7,
        "a chunked body is cut; one without a length is cut",
        "the origin closes in the middle",
        "noticed and fetched again",
    ),
    Row(
        8,
        "a flipped bit under the right ETag or `x-goog-hash`",
        "the origin flips it, once or always",
        "refused and fetched again; when it lasts: damaged, exit 6",
    ),
    Row(
        9,
        "200 with an XML or HTML body",
        "the origin answers a page",
        "refused, never written",
    ),
    Row(10, "200 with an empty body", "the origin answers nothing", "refused, never written"),
    Row(
        11,
        "the connection is reset, before the header or in the body",
        "the proxy resets it",
        "fetched again",
    ),
    Row(
        12,
        "the source is away for a while",
        "the proxy refuses connections, or closes them unanswered, for 6 and for 20 s",
        "the run goes on by itself and completes; one that was never there: exit 4 at once",
    ),
    Row(
        13,
        "the source falls silent, before the header or in the body",
        "the origin stops; the proxy holds everything back",
        "given up after 20 s and fetched again; all others have come by then",
    ),
    Row(
        14,
        "a drip of one byte every two seconds; a crowd at 5 kB a second",
        "the origin slows an image, or all; the proxy slices a connection",
        "the drip is cut after 20 s, all others have come by then; the crowd completes",
    ),
    Row(
        15,
        "500, 502, 503, 504, k times",
        "the origin answers them to the first k tries",
        "there when k is below the number of tries, else failed, exit 4",
    ),
    Row(
        16,
        "503 above a rate",
        "nginx with `limit_req`, 50 a second, queueing and refusing",
        "at least 80 % of the rate, at most 5 % of the answers 503",
    ),
    Row(
        17,
        "429 with Retry-After: seconds, a date, junk, a day",
        "the origin",
        "never asked sooner than it says; a day is not waited for",
    ),
    Row(
        18,
        "404, 410 and 403 for a few images",
        "the origin",
        "one request each, listed, exit 3; refused ones exit 4",
    ),
    Row(
        19,
        "redirects off the host, to a private address, to a file, in a circle",
        "the origin, a second listener that counts, and every connection traced by `strace`",
        "refused; nobody else is ever contacted",
    ),
    Row(
        20,
        "a source that ignores Range",
        "the origin answers 200; nginx with `max_ranges 0`",
        "started again cleanly, or refused before any image; nothing is appended",
    ),
    Row(
        21,
        "a wrong Content-Range; 416 for what is complete",
        "the origin",
        "refused; what is complete is recognised",
    ),
    Row(
        22,
        "a compressed answer to a range",
        "nginx with `gzip on`; the origin",
        "never asked for; refused where it comes all the same",
    ),
    Row(
        23,
        "an object is replaced between two ranges",
        "the origin has a new ETag, a weak one, none, or only the time of its change",
        "begun anew; no splice of two versions",
    ),
    Row(
        24,
        "a mask zip is replaced between its directory and a member",
        "the origin",
        "refused, the directory read again, the new zip's masks",
    ),
    Row(
        25,
        "hostile zips",
        "some 130 made by hand, of every class that unpackers are known to fall for; a "
        "coverage-guided fuzzer",
        "each refused, or read as `zipfile` reads it; no file outside the folder",
    ),
    Row(
        26,
        "zip, gzip, PNG and JPEG bombs, bodies without end",
        "made by hand, in place of zips, images, masks and lists; the peak of memory is measured",
        "refused or left out, and the run stays below 600 MB",
    ),
    Row(
        27,
        "CSV garbage",
        "a seeded fuzzer over published rows; a coverage-guided one",
        "every bad row listed with its line, every other one kept, no crash",
    ),
    Row(
        28,
        "the disk is full: no bytes, no inodes, late",
        "tmpfs with `size=` and `nr_inodes=`",
        "exit 5 at once, the folder named; with more room the same command completes",
    ),
    Row(
        29,
        "a folder or file that may not be written, at once or half way",
        "a user without privileges; rights taken away; ext4 that turns read-only",
        "exit 5, the path named, before any image where it can be known",
    ),
    Row(
        30,
        "2 to 8 runs in one folder and one cache, one of them killed",
        "started together",
        "the undisturbed tree, nobody waits for the dead",
    ),
    Row(
        31,
        "locks that do nothing",
        "`flock` replaced by nothing in every process, 2 to 8 of them",
        "the undisturbed tree in folder and cache, nothing unfinished left",
        instead="locks that hold on one machine only: unfinished work of another is planted",
    ),
    Row(
        32,
        "links planted wherever we write",
        "symbolic links to a canary at every name in folder, cache, exports and lists",
        "the canary is as it was; the link is replaced, or refused by its name",
    ),
    Row(
        33,
        "an object store as output fails",
        "an S3-compatible server behind the proxy",
        "exit 4; no partial object is seen, and the same command completes",
    ),
    Row(
        34,
        "a hostile environment",
        "`AWS_*` of every kind, `.netrc`, `.curlrc`; a forward proxy that notes who asks for what",
        "anonymous, to the right host, through the proxy; no secret in any output",
    ),
    Row(
        35,
        "a clock that is wrong, or steps",
        "libfaketime; a step in the middle of a run by replacing the interpreter's clock",
        "nothing is fetched again, no endless wait; a date to wait for is the server's",
        instead="libfaketime breaks sleeps on a clock that it leaves alone, so no step by it",
    ),
    Row(
        36,
        "no DNS, a black hole, TLS that is expired, self-signed or of another host",
        "a network namespace, a certificate authority of the tests, a listener on ::1 whose queue "
        "is full",
        "a clear sentence; TLS is never bypassed",
    ),
    Row(
        37,
        "a hostile visitor of a server on loopback",
        "raw sockets: Host, Origin, paths that climb, heads of 10 kB and more, requests in "
        "requests; names and titles that hold HTML and escape codes",
        "refused; no file outside the root; loopback only; names are text",
    ),
    Row(
        38,
        "few descriptors, little memory, a large selection",
        "`prlimit`: 8 to 64 descriptors, 1 to 2 GB of addresses; a class of a million boxes",
        "completes, or one clear sentence",
        instead="with 512 MB of addresses the table engine ends the process: it reserves more",
    ),
    Row(
        39,
        "a manifest, journal or description that is cut, newer or garbage, or claims other places",
        "bytes flipped, cut and put in, seeded",
        "made again from what is on the disk; never trusted; a newer one is left alone",
    ),
    Row(
        40,
        "bit rot in images, masks, tables and indexes",
        "a byte flipped in each",
        "found, and only that is fetched again",
    ),
)
ROWS = {row.number: row for row in _EVERY}
"""Every row by its number."""

CONTROLLED = (1, 8, 14, 23, 28, 30)
"""The rows that are tried once more with the safeguard switched off, and have to fail then."""
