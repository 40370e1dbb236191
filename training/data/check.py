"""Is the data set on disk what its index says?"""

from __future__ import annotations

from pathlib import Path

from tqdm import tqdm

from edge.errors import DataError
from training.data.shards import check_shard, read_index


def check_shards(root: Path) -> list[str]:
    """A sentence about every shard that is missing, altered or left out, and every tar that is not listed.

    Raises DataError if there is no readable index.
    """
    index = read_index(root)
    found = []
    for entry in tqdm(index["shards"], desc="checking", unit="shape", mininterval=1.0, delay=2.0):
        try:
            check_shard(root, entry)
        except DataError as error:
            found.append(str(error))
    found += [f"{item['name']} was left out: {item['problem']}" for item in index["left_out"]]
    return found


def unlisted(root: Path) -> list[Path]:
    """Tars in the folder that are no part of the data set: of other settings, or finished by a run still going."""
    names = {entry["file"] for entry in read_index(root)["shards"]}
    return sorted(path for path in Path(root).glob("*.tar") if path.name not in names)
