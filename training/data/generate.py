"""Making shards: a queue of bodies, a few worker processes, an index that grows as shards are finished."""

from __future__ import annotations

import multiprocessing
import os
import queue
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from edge.errors import CarcloudError, DataError
from training.data.shape import POINTS, planned, shape_arrays, shape_of, stretched_cloud
from training.data.shards import (
    IMAGE_SIZE,
    INDEX,
    ShardMeta,
    ShardSettings,
    index_entry,
    read_index,
    read_meta,
    shard_path,
    write_index,
    write_shard,
)
from training.meshes.model import CarMesh
from training.meshes.visible import outside_cloud
from training.render.renderer import Renderer

Job = tuple[CarMesh, list[ShardMeta]]
Entry = dict[str, Any]


def generate(root: Path, meshes: Iterable[CarMesh], settings: ShardSettings, workers: int = 2) -> list[Entry]:
    """Make every shard that is not finished yet; returns the entries of the index, which is kept up to date on disk.

    Deterministic by ``settings.seed``, whatever the number of workers. Raises DataError if no EGL is available, a
    mesh is unusable, or a worker dies.
    """
    root.mkdir(parents=True, exist_ok=True)
    for rest in root.glob("*.part"):
        rest.unlink()
    known = {e["name"]: e for e in read_index(root)["shards"]} if (root / INDEX).is_file() else {}
    entries, jobs = [], []
    for mesh in meshes:
        metas = list(planned(mesh, settings))
        done = [m for m in metas if finished(root, m)]
        entries += [_known_entry(root, m, known) for m in done]
        if len(done) < len(metas):
            jobs.append((mesh, [m for m in metas if m not in done]))
    write_index(root, settings, entries)
    total = len(entries) + sum(len(metas) for _, metas in jobs)
    with tqdm(total=total, initial=len(entries), unit="shard", desc="shards", mininterval=1.0) as bar:
        for entry in _run(root, jobs, workers):
            entries.append(entry)
            write_index(root, settings, entries)
            bar.update()
    return entries


def finished(root: Path, meta: ShardMeta) -> bool:
    """Whether a whole shard made with the same settings and generator is there already."""
    path = shard_path(root, meta.name)
    if not path.is_file():
        return False
    try:
        return read_meta(path) == meta
    except DataError:
        return False  # a damaged shard is simply made again


def _known_entry(root: Path, meta: ShardMeta, known: dict[str, Entry]) -> Entry:
    entry = known.get(meta.name)
    if entry is not None and entry.get("bytes") == shard_path(root, meta.name).stat().st_size:
        return entry
    return index_entry(root, meta)


def _run(root: Path, jobs: list[Job], workers: int) -> Iterator[Entry]:
    if workers < 1:
        raise DataError(f"--workers is {workers}; give at least 1")
    # spawn: an OpenGL context does not survive a fork.
    context = multiprocessing.get_context("spawn")
    tasks, results = context.Queue(), context.Queue()
    crew = [context.Process(target=_work, args=(root, tasks, results), daemon=True) for _ in range(workers)]
    for process in crew:
        process.start()
    # The bodies with the most triangles first, so that no worker is left alone with one at the end.
    for job in sorted(jobs, key=lambda job: -sum(len(p.faces) for p in job[0].parts) * len(job[1])):
        tasks.put(job)
    for _ in crew:
        tasks.put(None)
    try:
        yield from _collect(results, crew, sum(len(metas) for _, metas in jobs))
    finally:
        for process in crew:
            process.terminate()
            process.join()


def _collect(results: Any, crew: Sequence[Any], count: int) -> Iterator[Entry]:
    """``count`` entries from the workers. results: their queue. DataError if one reports a problem or dies."""
    received = 0
    while received < count:
        try:
            entry, problem = results.get(timeout=2.0)
        except queue.Empty:
            dead = [p.exitcode for p in crew if p.exitcode not in (None, 0)]
            if dead:
                raise DataError(
                    f"a worker died with exit code {dead[0]} (see its message above); finished shards are kept, "
                    "run the same command again, with --workers 1 if memory is short"
                ) from None
            continue
        if problem:
            raise DataError(problem)
        received += 1
        yield entry


def _work(root: Path, tasks: Any, results: Any) -> None:
    """One worker: its own renderer, bodies from the queue until None."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        with Renderer(IMAGE_SIZE) as renderer:
            for mesh, metas in iter(tasks.get, None):
                for entry in make_body(root, mesh, metas, renderer):
                    results.put((entry, ""))
    except CarcloudError as error:
        results.put((None, str(error)))


def make_body(root: Path, mesh: CarMesh, metas: list[ShardMeta], renderer: Renderer) -> Iterator[Entry]:
    """Write the shards of one body one by one; yields their index entries."""
    cloud = outside_cloud(mesh.canonical(), POINTS, seed=0)
    for meta in metas:
        shape = shape_of(mesh, meta)
        arrays = shape_arrays(shape, meta, stretched_cloud(cloud, mesh, meta), renderer)
        yield write_shard(root, meta, arrays)
