"""Progress of calls that take long: a line on a terminal's standard error, a bar in a notebook, nothing anywhere else.

    with progress.bar("write main.demo.t") as bar:
        for batch in bar.counted(reader):
            ...

It appears after half a second, so that short calls show nothing. What is begun inside of another one, or beside it
in another thread, is silent, and Ray Data shows its own bars. ISTHMUS_PROGRESS=0 turns all of it off.
"""

import contextlib
import os
import shutil
import sys
import threading
import time
import uuid

from isthmus import _html

DELAY = 0.5
EVERY = 0.2
_one = threading.Lock()  # held while one is shown


@contextlib.contextmanager
def bar(what, total=None, poll=None):
    """Progress of the block.

    what    the call, for people
    total   how many steps there are (Bar.step), where that is known
    poll    called with the Bar, from another thread, before it is shown each time
    """
    place = _place()
    if place is None or not _one.acquire(blocking=False):
        yield Bar(what, total)
        return
    try:
        with _Shown(Bar(what, total, shown=True), place, poll) as shown:
            yield shown.bar
    finally:
        _one.release()


class Bar:
    """What is known of a call that is under way."""

    def __init__(self, what, total=None, shown=False):
        self.what = what
        self.shown = shown
        self.total = total
        self.done = self.rows = self.bytes = 0
        self._start = time.monotonic()

    def add(self, rows=0, bytes=0):
        self.rows += rows
        self.bytes += bytes

    def step(self, done=None, total=None):
        """One more step is done; or so many of so many."""
        self.done = self.done + 1 if done is None else done
        self.total = self.total if total is None else total

    def counted(self, batches):
        """The same record batches, counted as they are taken, if anybody sees it: of a pyarrow reader a reader, of
        others a generator."""
        if not self.shown:
            return batches
        if not hasattr(batches, "schema"):
            return self._counted(batches)
        import pyarrow as pa

        return pa.RecordBatchReader.from_batches(batches.schema, self._counted(batches))

    def _counted(self, batches):
        for batch in batches:
            yield batch
            self.add(batch.num_rows, batch.nbytes)

    def __str__(self):
        return self._told(f"{self.done:,} of {self.total:,}" if self.total else "")

    def summary(self):
        """Of a call that is over."""
        return self._told()

    def _told(self, *steps):
        told = [*steps, _html.count(self.rows, "row") if self.rows else "",
                _html.size(self.bytes) if self.bytes else "", f"{time.monotonic() - self._start:.1f} s"]
        return f"{self.what}: {', '.join(filter(None, told))}"


class _Shown:
    """Shows a Bar from a thread of its own until the block ends."""

    def __init__(self, bar, place, poll):
        self.bar = bar
        self._show = place
        self._poll = poll
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="isthmus-progress")

    def __enter__(self):
        self._thread.start()
        return self

    def _run(self):
        wait = DELAY
        while not self._end.wait(wait):
            if self._poll and not self._polled():
                self._poll = None
            self._show(self.bar)
            wait = EVERY

    def _polled(self):
        try:
            self._poll(self.bar)
            return True
        except Exception:  # what is asked may be gone; the call itself will tell why
            return False

    def __exit__(self, kind, *_):
        self._end.set()
        self._thread.join()
        self._show.end(self.bar, failed=kind is not None)


def beside_ray(what):
    """Progress of what Ray Data runs. On a terminal it shows bars of its own; in a notebook it only logs."""
    return bar(what) if in_notebook() else contextlib.nullcontext(Bar(what))


# ---- where it is shown -----------------------------------------------------------------------------------------------


def _place():
    if os.environ.get("ISTHMUS_PROGRESS", "").lower() in ("0", "off", "no", "false"):
        return None
    if in_notebook():
        return _Notebook()
    return _Terminal() if sys.stderr is not None and sys.stderr.isatty() else None


def in_notebook():
    """Does this process run the cells of a notebook?"""
    ipython = sys.modules.get("IPython")
    shell = ipython and ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


class _Terminal:
    """One line that is written again and again, and taken away."""

    def __init__(self):
        self._seen = False

    def __call__(self, bar):
        self._seen = True
        width = shutil.get_terminal_size().columns - 1
        sys.stderr.write(f"\r\033[K{''.join(c for c in str(bar) if c.isprintable())[:width]}")
        sys.stderr.flush()

    def end(self, bar, failed):
        if self._seen:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()


class _Notebook:
    """An output that is written again and again; the last of it stays."""

    def __init__(self):
        self._id = None

    def __call__(self, bar):
        share = f'value="{min(bar.done, bar.total)}" max="{bar.total}"' if bar.total else ""
        self._display(f'<progress {share} style="width:14em;vertical-align:middle"></progress> {_html.text(bar)}')

    def end(self, bar, failed):
        if self._id:
            self._display(_html.note(f"{'failed: ' if failed else ''}{bar.summary()}"))

    def _display(self, page):
        from IPython.display import HTML, display, update_display

        if self._id is None:
            self._id = f"isthmus-{uuid.uuid4()}"
            display(HTML(page), display_id=self._id)
        else:
            update_display(HTML(page), display_id=self._id)


# ---- Spark -----------------------------------------------------------------------------------------------------------


def of_spark(what, session):
    """Progress of what the block asks of a Spark session, by tasks. On a terminal a classic session has its own bar."""
    place = _place()
    if place is None:
        return contextlib.nullcontext(Bar(what))
    if not hasattr(session, "_jsparkSession"):
        return _of_connect(what, session)
    bars = session.sparkContext.getConf().get("spark.ui.showConsoleProgress", "false") == "true"
    return contextlib.nullcontext(Bar(what)) if bars and isinstance(place, _Terminal) else _of_classic(what, session)


@contextlib.contextmanager
def _of_classic(what, session):
    context, tag = session.sparkContext, f"isthmus-{uuid.uuid4()}"
    context.addJobTag(tag)
    try:
        with bar(what, poll=lambda shown: shown.step(*_tasks(context, tag))) as shown:
            yield shown
    finally:
        context.removeJobTag(tag)


def _tasks(context, tag):
    """(tasks that are done, tasks) of the stages that have begun, of the jobs with a tag."""
    tracker = context.statusTracker()
    jobs = filter(None, map(tracker.getJobInfo, context._jsc.sc().statusTracker().getJobIdsForTag(tag)))
    stages = [stage for job in jobs for stage in map(tracker.getStageInfo, job.stageIds)
              if stage and (stage.numCompletedTasks or stage.numActiveTasks)]
    return sum(stage.numCompletedTasks for stage in stages), sum(stage.numTasks for stage in stages)


@contextlib.contextmanager
def _of_connect(what, session):
    with bar(what) as shown:
        def told(stages, **_):
            stages = list(stages or ())
            shown.step(sum(each.num_completed_tasks for each in stages), sum(each.num_tasks for each in stages))

        session.registerProgressHandler(told)
        try:
            yield shown
        finally:
            session.removeProgressHandler(told)
