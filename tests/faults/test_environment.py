"""What the environment says: keys that are nobody's business, proxies that have to be used."""

from __future__ import annotations

import socket
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from faults.forward import ForwardProxy
from faults.proxy import Proxy
from faults.test_tls import NOTHING_TRUSTED, Authority, authority
from oidkit import catalog
from oidkit.testing import MirrorServer

if TYPE_CHECKING:
    from pathlib import Path

    from faults.runs import Done, Folder

__all__ = ["authority"]

CANARY = "canary5ecret"
_HOST = "mirror.test"
_NO_PROXY = dict.fromkeys(
    (
        *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    ),
    "",
)


def aws(home: Path, **more: str) -> dict[str, str]:
    """Give the environment of a user of AWS, with a canary wherever a secret may stand."""
    home.mkdir(parents=True)
    hosts = [catalog_host.split("/")[2] for catalog_host in catalog.OFFICIAL_HOSTS.values()]
    hosts += ["127.0.0.1", "localhost", _HOST]
    netrc = "".join(f"machine {h} login {CANARY} password {CANARY}\n" for h in hosts)
    (home / ".netrc").write_text(netrc + f"default login {CANARY} password {CANARY}\n")
    (home / ".netrc").chmod(0o600)
    (home / ".curlrc").write_text(f'insecure\nnetrc\nheader = "X-Canary: {CANARY}"\n')
    (home / ".aws").mkdir()
    keys = f"aws_access_key_id = {CANARY}\naws_secret_access_key = {CANARY}\nregion = de-eu\n"
    for name in ("credentials", "config"):
        (home / ".aws" / name).write_text(f"[default]\n{keys}[profile mine]\n{keys}")
    return (
        NOTHING_TRUSTED
        | _NO_PROXY
        | {
            "HOME": str(home),
            "NETRC": str(home / ".netrc"),
            "CURL_HOME": str(home),
            "AWS_ACCESS_KEY_ID": CANARY,
            "AWS_SECRET_ACCESS_KEY": CANARY,
            "AWS_SESSION_TOKEN": CANARY,
            "AWS_PROFILE": "mine",
            "AWS_REGION": "de-eu",
            "AWS_DEFAULT_REGION": "de-eu",
            "AWS_CONFIG_FILE": str(home / ".aws" / "config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(home / ".aws" / "credentials"),
            "GOOGLE_APPLICATION_CREDENTIALS": str(home / ".aws" / "credentials"),
        }
        | more
    )


def check_anonymous(server: MirrorServer) -> None:
    """Check that no request said who sent it."""
    assert server.requests
    for each in server.log:
        assert not {"authorization", "proxy-authorization", "cookie"} & each.headers.keys()
        assert not [name for name in each.headers if name.startswith(("x-amz", "x-goog", "x-can"))]
        assert CANARY not in str((each.path, each.headers))


def check_unsaid(folder: Folder, done: Done, secret: str = CANARY) -> None:
    """Check that a secret is in no output and no file of a run."""
    assert secret not in done.err
    assert secret.encode() not in done.out
    for place in (folder.out, folder.cache):
        for path in place.rglob("*"):
            assert not path.is_file() or secret.encode() not in path.read_bytes(), path


# -- row 34: AWS_* ---------------------------------------------------------------------------------


@pytest.mark.row(34)
@pytest.mark.parametrize("source", ["http", "s3"])
def test_no_key_of_the_environment_is_used(folder: Folder, source: str) -> None:
    """Keys, profiles, regions, `.netrc` and `.curlrc` change nothing and appear nowhere."""
    mirror = folder.undisturbed.mirror
    with MirrorServer(mirror.parent) as server:
        env = aws(folder.root / "home", AWS_ENDPOINT_URL=server.url)
        url = f"s3://{mirror.name}" if source == "s3" else f"{server.url}/{mirror.name}"
        other = replace(folder, source=url, env=env)
        done = other.run()
        other.check_complete(done)
        assert server.requests == folder.undisturbed.requests
        check_anonymous(server)
    check_unsaid(other, done)


@pytest.mark.row(34)
def test_the_official_source_is_asked_at_its_own_host(folder: Folder, authority: Authority) -> None:
    """Whatever region, profile and endpoint are set, images come from the one public host."""
    mirror, bucket = folder.undisturbed.mirror, "open-images-dataset.s3.amazonaws.com"
    chosen = sorted((mirror / "open-images-dataset" / "train").glob("*.jpg"))[:3]
    folder.root.mkdir(exist_ok=True)
    ids = folder.root / "ids.txt"
    ids.write_text("".join(f"train/{path.stem}\n" for path in chosen))
    with (
        MirrorServer(mirror / "open-images-dataset") as server,
        Proxy(server.url, tls=authority.context(bucket)) as front,
        ForwardProxy({f"{bucket}:443": front.port}) as proxy,
    ):
        server.hosts = (bucket,)
        env = aws(
            folder.root / "home",
            AWS_ENDPOINT_URL=f"http://127.0.0.1:{server.port}/wrong",
            SSL_CERT_FILE=str(authority.file),
            https_proxy=proxy.url,
        )
        other = replace(folder, env=env)
        where = ("--download_folder", other.out, "--source", "official", "--cache", other.cache)
        done = other.run("fetch", ids, *where)
        assert done.code == 0, done.err
        assert set(proxy.asked) == {f"CONNECT {bucket}:443 HTTP/1.1"}
        assert CANARY.encode() not in b"".join(proxy.heads)
        assert server.requests == 3
        check_anonymous(server)
    check_unsaid(other, done)
    for path in chosen:
        assert (other.out / path.name).read_bytes() == path.read_bytes()


# -- row 34: proxies -------------------------------------------------------------------------------


@pytest.mark.row(34)
@pytest.mark.parametrize(
    "variable",
    [
        "http_proxy",
        *[pytest.param(each, marks=pytest.mark.whole) for each in ("all_proxy", "ALL_PROXY")],
    ],
)
def test_a_proxy_is_used(folder: Folder, variable: str) -> None:
    """Every request for another host goes through it, with no more requests than without."""
    server = folder.undisturbed.server
    with ForwardProxy({_HOST: server.port}) as proxy:
        other = replace(folder, source=f"http://{_HOST}", env=_NO_PROXY | {variable: proxy.url})
        other.check_complete(other.run())
        assert len(proxy.asked) == server.requests == folder.undisturbed.requests
        assert {line.split("/")[2] for line in proxy.asked} == {_HOST}


@pytest.mark.row(34)
@pytest.mark.parametrize(
    "variable", ["https_proxy", pytest.param("HTTPS_PROXY", marks=pytest.mark.whole)]
)
def test_a_proxy_is_tunnelled_through(folder: Folder, authority: Authority, variable: str) -> None:
    """With https the proxy sees the host's name and nothing else, and TLS is with the host."""
    server = folder.undisturbed.server
    with (
        Proxy(server.url, tls=authority.context(_HOST)) as front,
        ForwardProxy({f"{_HOST}:443": front.port}) as proxy,
    ):
        env = _NO_PROXY | NOTHING_TRUSTED | {variable: proxy.url}
        other = replace(folder, source=f"https://{_HOST}", env=env)
        done = other.run()
        assert done.code == 4, done.err
        assert "certificate" in done.err
        assert server.requests == 0
        other = replace(other, env=env | {"SSL_CERT_FILE": str(authority.file)})
        other.check_complete(other.run())
        assert set(proxy.asked) == {f"CONNECT {_HOST}:443 HTTP/1.1"}


@pytest.mark.row(34)
@pytest.mark.whole
def test_a_host_that_is_not_for_the_proxy(folder: Folder) -> None:
    """`no_proxy` is kept: the proxy hears nothing of a host that it names."""
    with ForwardProxy({_HOST: folder.undisturbed.server.port}) as proxy:
        env = _NO_PROXY | {"http_proxy": proxy.url, "no_proxy": _HOST}
        done = replace(folder, source=f"http://{_HOST}", env=env).run()
        assert proxy.asked == []
    assert done.code == 4, done.err
    assert "resolve" in done.err


@pytest.mark.row(34)
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    "given",
    [
        pytest.param("", id="no password", marks=pytest.mark.whole),
        pytest.param(f"ann:wrong{CANARY}@", id="a wrong one"),
    ],
)
def test_a_proxy_that_asks_for_a_password(folder: Folder, scheme: str, given: str) -> None:
    """407 is exit 4 at once with a sentence that says where the password goes, and shows none."""
    with ForwardProxy({}, user="ann:right") as proxy:
        url = proxy.url.replace("//", f"//{given}")
        env = _NO_PROXY | {"http_proxy": url, "https_proxy": url}
        other = replace(folder, source=f"{scheme}://{_HOST}", env=env)
        done = other.run()
        # One for each class list, and no second try.
        assert 1 <= len(proxy.asked) <= 2
    assert done.code == 4, done.err
    (line,) = done.err.strip().splitlines()
    assert "the proxy asks for a name and a password (407)" in line
    assert "https_proxy=http://NAME:PASSWORD@host:port" in line
    check_unsaid(other, done)


@pytest.mark.row(34)
def test_a_password_for_the_proxy(folder: Folder) -> None:
    """It goes to the proxy alone: not to the source, not into any output or file."""
    server = folder.undisturbed.server
    with ForwardProxy({_HOST: server.port}, user=f"ann:{CANARY}") as proxy:
        url = proxy.url.replace("//", f"//ann:{CANARY}@")
        other = replace(folder, source=f"http://{_HOST}", env=_NO_PROXY | {"http_proxy": url})
        done = other.run()
        other.check_complete(done)
    check_anonymous(server)
    check_unsaid(other, done)


def _closed() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.mark.row(34)
@pytest.mark.parametrize(
    "form",
    [
        "http://ann:{secret}@127.0.0.1:{port}",
        "http://ann:{secret}@proxy.invalid:80",
        "http://ann:{secret}@127.0.0.1:99999",
        "gopher://ann:{secret}@127.0.0.1:80",
        "ann:{secret}@127.0.0.1:port",
        "http://ann:it's {secret}@[::1:80",
    ],
)
@pytest.mark.whole
def test_a_proxy_of_no_use_keeps_its_password(folder: Folder, form: str) -> None:
    """What is wrong with the proxy is said in one sentence, and its password is not in it."""
    url = form.format(secret=CANARY, port=_closed())
    other = replace(folder, source=f"http://{_HOST}", env=_NO_PROXY | {"http_proxy": url})
    done = other.run()
    assert done.code == 4, done.err
    assert len(done.err.strip().splitlines()) == 1
    assert CANARY not in done.err
    check_unsaid(other, done)
