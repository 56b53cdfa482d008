"""Asks the explorer's server as its page does."""

from __future__ import annotations

import io
import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

from PIL import Image

if TYPE_CHECKING:
    from oidkit.explorer import Explorer


def ask(explorer: Explorer, path: str, body: object = None, **headers: str) -> tuple[int, bytes]:
    """Ask for something below the token, or post JSON."""
    data = None if body is None else json.dumps(body).encode()
    kind = {} if data is None else {"Content-Type": "application/json"}
    request = urllib.request.Request(explorer.url + path, data, headers=kind | headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def told(explorer: Explorer, path: str, body: object = None) -> Any:
    """Ask for JSON that has to come."""
    status, data = ask(explorer, path, body)
    assert status == 200, data
    return json.loads(data)


def picture(explorer: Explorer, path: str) -> Image.Image:
    """Ask for a picture that has to come."""
    status, data = ask(explorer, path)
    assert status == 200
    return Image.open(io.BytesIO(data))
