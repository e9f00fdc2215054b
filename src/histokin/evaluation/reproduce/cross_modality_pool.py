"""Several jobs side by side, one process of one thread on each processor: faster here than threads within a job."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from histokin.cores import usable_cores
from histokin.evaluation.cross_modality.subjects import Subjects
from histokin.evaluation.reproduce.cross_modality_data import find
from histokin.evaluation.reproduce.run import Run

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")

Job = TypeVar("Job")
Result = TypeVar("Result")
Work = Callable[[Run, Subjects, Job], Result]


def processes_for(run: Run, count: int) -> int:
    """One for each processor it may use, no more than jobs; one for a quick run."""
    return 1 if run.quick else max(1, min(count, usable_cores()))


def each(
    run: Run, subjects: Subjects, jobs: Sequence[Job], work: Work[Job, Result], processes: int
) -> Iterator[tuple[Job, Result]]:
    """Every job with its result, as they are done; in order where there is one process.

    ``work`` and the jobs must be picklable; a process makes the subjects anew from the run. What a job tells goes to
    standard error. Ctrl-C stops all of them.
    """
    if processes == 1:
        for job in jobs:
            yield job, work(run, subjects, job)
        return
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from multiprocessing import get_context

    apart = replace(run, say=to_stderr)
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_alone) as pool:
        waiting = {pool.submit(_in_process, apart, subjects.slug, job, work): job for job in jobs}
        try:
            for future in as_completed(waiting):
                yield waiting[future], future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def to_stderr(message: str) -> None:
    """A line on standard error."""
    print(message, file=sys.stderr, flush=True)


def _alone() -> None:
    """One thread per process."""
    for name in THREADS:
        os.environ[name] = "1"
    from importlib.util import find_spec

    import cv2

    cv2.setNumThreads(1)
    if find_spec("faiss"):
        import faiss

        faiss.omp_set_num_threads(1)


_SETS: dict[tuple[Path, str], Subjects] = {}


def _in_process(run: Run, slug: str, job: Job, work: Work[Job, Result]) -> Result:
    key = (run.out, slug)
    if key not in _SETS:
        _SETS[key] = find(run, slug)
    return work(run, _SETS[key], job)
