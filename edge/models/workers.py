"""Photos to models in several processes, each with its own networks; a photo that kills one harms no other photo."""

import signal
import sys
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from functools import partial
from multiprocessing import get_context
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple

from edge.errors import CarcloudError
from edge.models.template import Template, load_template
from edge.models.work import Maker, Order, Task
from edge.settings import Settings

#: Photos that wait for each process.
AHEAD = 2


class Setting(NamedTuple):
    """What a process needs to make models. settings: bundle, backend, threads of one process and so on. template_path:
    file of edge.models.template.save_template and its key, or None."""

    settings: Settings
    order: Order
    template_path: Optional[str]
    template_key: str


#: What makes one photo's model in a process of its own.
Work = Callable[[Setting, Task], Dict[str, Any]]

#: The process's opened networks: opened with its first photo, closed with the process.
_OPENED: Dict[Setting, Maker] = {}


def make_one(setting: Setting, task: Task) -> Dict[str, Any]:
    """Make one photo's model in this process; see :meth:`edge.models.work.Maker.make`."""
    if setting not in _OPENED:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's: a model that is begun is finished
        _OPENED[setting] = open_maker(setting, ExitStack())
    return _OPENED[setting].make(task)


def open_maker(setting: Setting, stack: ExitStack) -> Maker:
    """Networks opened into ``stack``. Raises BundleError, BackendError."""
    from edge.bundle import load_bundle
    from edge.runtime.opening import enter_backend, enter_finder, enter_silhouette
    from edge.runtime.reconstructor import Reconstructor

    chosen = setting.settings._replace(box=None)  # each photo has a box of its own, or none
    bundle = load_bundle(chosen.bundle, verify=False)  # the parent did
    backend = enter_backend(stack, bundle, chosen)
    finder, silhouette = enter_finder(stack, bundle, chosen), enter_silhouette(stack, bundle, chosen)
    template: Optional[Template] = None
    if setting.template_path is not None:
        template = load_template(setting.template_path, setting.template_key)
        if template is None:
            raise CarcloudError("%s went away while it was needed; start again" % setting.template_path)
    # All points: groups are averaged point by point.
    return Maker(Reconstructor(bundle, backend, 0, silhouette=silhouette), finder, template, setting.order)


def make_all(
    setting: Setting, tasks: Sequence[Task], processes: int, stop: Any, work: Work = make_one
) -> Iterator[Tuple[Task, Dict[str, Any]]]:
    """Each task with its record, in the order in which they are done. stop: an Event; once it is set no other is begun.
    work: makes one in another process.

    A process that dies (of a photo that kills the decoder, of missing memory) costs the photos it had: they are made
    again one by one, and the one that it dies of is reported as failed. Raises CarcloudError where nothing can be made.
    """
    left = list(tasks)
    while left and not stop.is_set():
        lost: List[Task] = []
        waiting: List[Task] = []
        for result in _round(partial(work, setting), left, processes, stop, lost, waiting):
            yield result
        for task in lost:
            if stop.is_set():
                return
            alone: List[Task] = []
            for result in _round(partial(work, setting), [task], 1, stop, alone, []):
                yield result
            if alone:
                error = "%s: the process that read it died; is it damaged, or memory short?" % task.name
                yield task, {"key": task.key, "photo": task.name, "group": task.group, "files": [], "status": "failed",
                             "error": error}
        left = waiting


def _round(
    work: Callable[[Task], Dict[str, Any]], tasks: Sequence[Task], processes: int, stop: Any, lost: List[Task],
    waiting: List[Task],
) -> Iterator[Tuple[Task, Dict[str, Any]]]:
    """As make_all. If a process dies: tasks that were begun come into ``lost``, the others into ``waiting``."""
    todo = list(reversed(tasks))
    running: Dict[Future, Task] = {}
    with _pool(processes) as pool:
        try:
            while running or (todo and not stop.is_set()):
                while todo and len(running) < processes * AHEAD and not stop.is_set():
                    task = todo.pop()
                    running[pool.submit(work, task)] = task
                done: Set[Future]
                done, _ = wait(set(running), timeout=0.5, return_when=FIRST_COMPLETED)
                for future in done:
                    task = running[future]
                    result = future.result()
                    del running[future]
                    yield task, result
        except BrokenProcessPool:
            lost += running.values()
            waiting += reversed(todo)


def _pool(processes: int) -> ProcessPoolExecutor:
    # Not forked: the networks' threads do not survive a fork. Python 3.6 cannot choose, and forks.
    options: Dict[str, Any] = {"mp_context": get_context("spawn")} if sys.version_info >= (3, 7) else {}
    return ProcessPoolExecutor(processes, **options)
