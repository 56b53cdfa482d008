"""A bucket that is written, as a dataset or an index: its objects, with the user's credentials.

Calls block, and are made from threads; those of the client's event loop may abort when a process
ends.
"""

from __future__ import annotations

import functools
import itertools
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from oidkit.errors import BucketError, DiskError, OidError
from oidkit.objectpath import Facts
from oidkit.store.objects import is_denied, lacks_bucket, no_bucket, opened, sentence_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from oidkit.store.address import Address

__all__ = ["Bucket"]

_AT_ONCE = 16
_LISTED_AT_ONCE = 1000
_WHOLE = 16 << 20
"""Up to so many bytes are sent by one request, so that the ETag is an MD5 where stores give one."""


class Bucket:
    """The objects of a bucket below a prefix.

    Every call raises:
        UsageError: the bucket does not exist.
        DiskError: there is no permission for it.
        BucketError: the store could not be reached, or gave up.

    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._store = opened(address, writes=True)
        self._name = address.name

    def __reduce__(self) -> tuple[Callable[..., Bucket], tuple[Address]]:
        """Open it anew in another process, once for all paths that come there."""
        return _reopened, (self._address,)

    def __eq__(self, other: object) -> bool:
        """Tell whether it is the same prefix."""
        return isinstance(other, Bucket) and self._address == other._address

    def __lt__(self, other: Bucket) -> bool:
        """Order by address, for lists of paths."""
        return self._address < other._address

    def __hash__(self) -> int:
        """Go by the address."""
        return hash(self._address)

    @property
    def name(self) -> str:
        return self._name

    def reach(self) -> None:
        """Ask for what is there, without patience: who has misspelt an address is told soon."""
        import obstore

        store = opened(self._address, writes=True, patient=False)
        try:
            next(obstore.list(store), None)
        except Exception as error:
            raise self._meant(error, "", doing="list") from error

    def facts(self, key: str) -> Facts | None:
        import obstore

        if not key and not self._address[2]:
            return None
        try:
            return _facts(obstore.head(self._store, key))
        except FileNotFoundError as error:
            self._check_bucket(error)
            return None
        except Exception as error:
            raise self._meant(error, key, doing="read") from error

    def read(self, key: str) -> bytes:
        import obstore

        try:
            return bytes(obstore.get(self._store, key).bytes())
        except FileNotFoundError as error:
            self._check_bucket(error)
            raise FileNotFoundError(2, "no such object", f"{self._name}/{key}") from error
        except Exception as error:
            raise self._meant(error, key, doing="read") from error

    def read_all(self, keys: Sequence[str]) -> dict[str, bytes]:
        def read(key: str) -> bytes | None:
            try:
                return self.read(key)
            except FileNotFoundError:
                return None

        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="oidkit-object") as pool:
            found = dict(zip(keys, pool.map(read, keys), strict=True))
        return {key: data for key, data in found.items() if data is not None}

    def write(self, key: str, data: bytes | Iterable[bytes]) -> None:
        import obstore

        pieces = iter((data,) if isinstance(data, bytes) else data)
        first, size = [], 0
        for piece in pieces:
            first.append(piece)
            size += len(piece)
            if size > _WHOLE:
                break
        try:
            if size <= _WHOLE:
                obstore.put(self._store, key, b"".join(first), use_multipart=False)
            else:
                obstore.put(self._store, key, itertools.chain(first, pieces), max_concurrency=4)
        except Exception as error:
            raise self._meant(error, key) from error

    def write_all(self, files: Iterable[tuple[str, bytes]]) -> None:
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="oidkit-object") as pool:
            deque(pool.map(lambda file: self.write(*file), files), maxlen=0)

    def copy(self, key: str, to: str) -> None:
        import obstore

        try:
            obstore.copy(self._store, key, to)
        except FileNotFoundError as error:
            raise FileNotFoundError(2, "no such object", f"{self._name}/{key}") from error
        except Exception as error:
            raise self._meant(error, to) from error

    def remove(self, key: str) -> None:
        import obstore

        try:
            obstore.delete(self._store, key)
        except FileNotFoundError:
            return
        except Exception as error:
            raise self._meant(error, key) from error

    def below(self, folder: str) -> Iterator[Facts]:
        import obstore

        front = folder or None
        try:
            for some in obstore.list(self._store, prefix=front, chunk_size=_LISTED_AT_ONCE):
                yield from map(_facts, some)
        except Exception as error:
            raise self._meant(error, folder, doing="list") from error

    def right_in(self, folder: str) -> tuple[list[str], list[Facts]]:
        import obstore

        try:
            found = obstore.list_with_delimiter(self._store, prefix=folder or None)
        except Exception as error:
            raise self._meant(error, folder, doing="list") from error
        return [*found["common_prefixes"]], [*map(_facts, found["objects"])]

    def _check_bucket(self, error: Exception) -> None:
        if lacks_bucket(error):
            raise self._meant(error, "", doing="read") from error

    def _meant(self, error: Exception, key: str, *, doing: str = "write") -> OidError:
        if isinstance(error, OidError):
            return error
        where = f"{self._name}/{key}".rstrip("/")
        # Of an object that is not there nothing comes here: to list or to write one takes none.
        if lacks_bucket(error) or isinstance(error, FileNotFoundError):
            return no_bucket(self._address)
        if is_denied(error):
            return DiskError(
                where,
                because="permission denied",
                remedy="check your credentials for it, or choose another place",
                cause=f"cannot {doing} {where}: permission denied",
            )
        return BucketError(
            f"{where} could not be reached: {sentence_of(error)}",
            remedy="check the address and the network, then run the same command again",
        )


@functools.cache
def _reopened(address: Address) -> Bucket:
    return Bucket(address)


def _facts(meta: Any) -> Facts:
    etag = (meta["e_tag"] or "").strip('"')
    return Facts(meta["path"], meta["size"], etag, meta["last_modified"].timestamp())
