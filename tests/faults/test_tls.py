"""TLS that is not to be trusted, names that do not resolve, addresses that swallow everything."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import shutil
import socket
import ssl
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme

from faults.proxy import Proxy
from faults.test_redirects import traced
from servers import free_port, nginx

if TYPE_CHECKING:
    from collections.abc import Iterator

    from faults.runs import Folder

NOTHING_TRUSTED = {"SSL_CERT_FILE": "", "CURL_CA_BUNDLE": "", "REQUESTS_CA_BUNDLE": ""}
_NOW = dt.datetime.now(dt.UTC)
_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Authority:
    """An authority of the tests, and the file that makes a run trust it."""

    made: trustme.CA
    file: Path

    def context(
        self,
        *names: str,
        not_before: dt.datetime | None = None,
        not_after: dt.datetime | None = None,
    ) -> ssl.SSLContext:
        """Make the context of a server with a certificate for these names."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        issued = self.made.issue_cert(*names, not_before=not_before, not_after=not_after)
        issued.configure_cert(context)
        return context


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Make an authority that no machine knows."""
    made = trustme.CA()
    file = tmp_path_factory.mktemp("authority") / "authority.pem"
    made.cert_pem.write_to_path(str(file))
    return Authority(made, file)


def _self_signed(place: Path) -> ssl.SSLContext:
    """Make a context whose certificate vouches for itself."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed (apt-get install openssl)")
    place.mkdir(parents=True)
    key, cert = place / "key.pem", place / "cert.pem"
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-keyout", str(key), "-out", str(cert), "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context


def check_refused(folder: Folder, context: ssl.SSLContext, says: str, **env: str) -> None:
    """Check that a run speaks to no server with such a certificate, and says why."""
    target = folder.undisturbed.server
    with Proxy(target.url, tls=context) as front, Proxy(f"127.0.0.1:{front.port}") as counting:
        url = f"https://127.0.0.1:{counting.port}"
        other = replace(folder, source=url, env=NOTHING_TRUSTED | env)
        done = other.run()
        assert done.code == 4, done.err
        # One for each class list: no second try of what no try mends.
        assert 1 <= counting.connections <= 2
    assert target.requests == 0
    (line,) = done.err.strip().splitlines()
    assert "certificate" in line
    assert says in line
    assert "SSL_CERT_FILE" in line
    assert not other.out.exists()


@pytest.mark.row(36)
@pytest.mark.parametrize(
    "what",
    [
        "expired",
        pytest.param("not yet valid", marks=pytest.mark.whole),
        "another host",
        "unknown authority",
    ],
)
def test_a_certificate_that_does_not_hold(folder: Folder, authority: Authority, what: str) -> None:
    """No request goes out, exit 4, one sentence with the reason, one connection a file."""
    dates, names, env, says = {}, ("127.0.0.1",), {"SSL_CERT_FILE": str(authority.file)}, what
    if what == "expired":
        dates = {"not_before": _NOW - 9 * _DAY, "not_after": _NOW - _DAY}
    elif what == "not yet valid":
        dates = {"not_before": _NOW + _DAY, "not_after": _NOW + 9 * _DAY}
    elif what == "another host":
        names, says = ("elsewhere.test",), "127.0.0.1"
    else:
        env, says = {}, "issuer"
    check_refused(folder, authority.context(*names, **dates), says, **env)


@pytest.mark.row(36)
def test_a_certificate_that_vouches_for_itself(folder: Folder) -> None:
    """A self-signed certificate is refused as any other that nobody known has signed."""
    check_refused(folder, _self_signed(folder.root / "made"), "self-signed")


@pytest.mark.row(36)
def test_a_file_of_authorities_that_is_not_there(folder: Folder, authority: Authority) -> None:
    """A wrong SSL_CERT_FILE is no reason to trust everybody: it is named."""
    lost = folder.root / "no.pem"
    check_refused(folder, authority.context("127.0.0.1"), str(lost), SSL_CERT_FILE=str(lost))


@pytest.mark.row(36)
@pytest.mark.parametrize(
    "variable", ["SSL_CERT_FILE", pytest.param("CURL_CA_BUNDLE", marks=pytest.mark.whole)]
)
def test_an_authority_of_ones_own(folder: Folder, authority: Authority, variable: str) -> None:
    """Where the environment names its file, its certificates are as good as any."""
    env = NOTHING_TRUSTED | {variable: str(authority.file)}
    context = authority.context("127.0.0.1")
    with Proxy(folder.undisturbed.server.url, tls=context) as front:
        other = replace(folder, source=front.url, env=env)
        other.check_complete(other.run())


@pytest.mark.row(36)
def test_nginx_with_tls(folder: Folder, authority: Authority, tmp_path: Path) -> None:
    """The same from nginx's own TLS."""
    issued, port = authority.made.issue_cert("127.0.0.1"), free_port()
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    for blob in issued.cert_chain_pems:
        blob.write_to_path(str(chain), append=True)
    issued.private_key_pem.write_to_path(str(key))
    more = f'listen 127.0.0.1:{port} ssl; ssl_certificate "{chain}"; ssl_certificate_key "{key}";'
    env = NOTHING_TRUSTED | {"SSL_CERT_FILE": str(authority.file)}
    with nginx(folder.undisturbed.mirror, tmp_path / "nginx", server=more):
        other = replace(folder, source=f"https://127.0.0.1:{port}", env=env)
        other.check_complete(other.run())


# -- names and addresses ---------------------------------------------------------------------------

_ALONE = ("unshare", "--net", "--mount")


def _root_only() -> None:
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("namespaces need root and unshare")
    if subprocess.run([*_ALONE, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine makes no namespaces")


@pytest.mark.row(36)
@pytest.mark.parametrize(
    "alone",
    [
        pytest.param(False, id="no such name", marks=pytest.mark.whole),
        pytest.param(True, id="no network at all"),
    ],
)
def test_a_name_that_does_not_resolve(folder: Folder, *, alone: bool) -> None:
    """It is tried for a while, as a network comes back; then exit 4 and the host's name."""
    if alone:
        _root_only()
    other = replace(folder, source="http://mirror.invalid")
    done = other.run(before=_ALONE if alone else ())
    assert done.code == 4, done.err
    (line,) = done.err.strip().splitlines()
    assert "resolve" in line
    assert "mirror.invalid" in line
    assert done.seconds < 60
    assert not other.out.exists()


@contextlib.contextmanager
def _swallowing(port: int) -> Iterator[None]:
    """Listen on ::1 with a queue that is full, so that nobody is answered at all any more."""
    with contextlib.ExitStack() as held:
        listener = held.enter_context(socket.socket(socket.AF_INET6))
        listener.bind(("::1", port))
        listener.listen(0)
        for _ in range(4):
            waiting = held.enter_context(socket.socket(socket.AF_INET6))
            waiting.settimeout(0)
            waiting.connect_ex(("::1", port))
        yield


@pytest.mark.row(36)
@pytest.mark.parametrize(
    "swallows",
    [
        pytest.param(False, id="refuses", marks=pytest.mark.whole),
        pytest.param(True, id="swallows everything"),
    ],
)
def test_an_address_of_ipv6_that_is_dead(folder: Folder, tmp_path: Path, *, swallows: bool) -> None:
    """The other address of the host is taken soon, so that the run takes hardly longer for it."""
    _root_only()
    if not socket.has_ipv6 or not Path("/proc/net/if_inet6").exists():
        pytest.skip("this machine has no IPv6")
    hosts, port, trace = tmp_path / "hosts", folder.undisturbed.server.port, tmp_path / "trace"
    hosts.write_text("127.0.0.1 localhost\n::1 mirror.test\n127.0.0.1 mirror.test\n")
    script = 'mount --bind "$0" /etc/hosts && exec "$@"'
    before = ("unshare", "--mount", "sh", "-c", script, str(hosts), *traced(trace))
    other = replace(folder, source=f"http://mirror.test:{port}")
    with _swallowing(port) if swallows else contextlib.nullcontext():
        done = other.run(before=before)
    other.check_complete(done)
    assert done.seconds < 40
    if trace.exists():
        assert f"htons({port})" in trace.read_text()
        assert 'inet_pton(AF_INET6, "::1"' in trace.read_text()
