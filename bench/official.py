"""The way of the official script for downloading images: boto3's `download_file`, in threads.

    python bench/official.py ENDPOINT IDS_FILE FOLDER [THREADS]

As in downloader.py of Open Images (https://storage.googleapis.com/openimages/web/download.html),
the requests are unsigned, five at a time, and the first one that the bucket refuses ends the whole
with its message. What differs is the endpoint.
"""

from __future__ import annotations

import sys
from concurrent import futures
from pathlib import Path

import boto3
import botocore
import botocore.config
import botocore.exceptions

_BUCKET = "open-images-dataset"


def main(endpoint: str, ids_file: str, folder: str, threads: str = "5") -> None:
    """Fetch every image of the list into one folder."""
    images = [line for line in Path(ids_file).read_text(encoding="utf-8").splitlines() if line]
    config = botocore.config.Config(
        signature_version=botocore.UNSIGNED, max_pool_connections=max(10, int(threads))
    )
    resource = boto3.resource("s3", endpoint_url=endpoint, config=config, region_name="us-east-1")
    bucket = resource.Bucket(_BUCKET)

    def fetch(image: str) -> None:
        name = image.rpartition("/")[2]
        try:
            bucket.download_file(f"{image}.jpg", str(Path(folder) / f"{name}.jpg"))
        except botocore.exceptions.ClientError as error:
            sys.exit(f"{image}: {error}")

    with futures.ThreadPoolExecutor(int(threads)) as pool:
        for each in futures.as_completed([pool.submit(fetch, image) for image in images]):
            each.result()


if __name__ == "__main__":
    main(*sys.argv[1:])
