"""What a running grid shows: how many cells are done, which ones run, how far they are, and the time to go."""

import json
import sys
import time
from pathlib import Path

from tqdm import tqdm

from reproduction.evidence.results import CellFiles
from reproduction.protocol.parameters import Parameters
from reproduction.protocol.profiles import Profile

_SECONDS_BETWEEN_LINES = 60  # in a log file; a terminal's line is redrawn in place


class Watcher:
    """Reads the progress files that cells keep, and shows one bar; its unit is the work of all matrix products."""

    def __init__(self, profile: Profile, outputs: Path, needed: list[Parameters], images: tuple[int, int]) -> None:
        self.total_cells, self.needed_cells = len(profile.cells()), len(needed)
        self.work = {cell: cell.flops(*images) for cell in needed}
        self.total_work = sum(self.work.values())
        self.outputs = outputs
        self.terminal = sys.stderr.isatty()
        self.since = time.time()  # older progress files are of cells that were cut off
        self.done_before: float | None = None  # in earlier starts
        self.started, self.last_line, self.last_text = time.monotonic(), 0.0, ""
        self.next_look = self.started
        self.bar = tqdm(
            total=100, disable=not self.terminal, bar_format="{desc} |{bar:20}| {percentage:3.0f} % {postfix}"
        )

    def __enter__(self) -> "Watcher":
        return self

    def __exit__(self, stopped_by: type[BaseException] | None, *_: object) -> None:
        if stopped_by is None:
            self.look(last=True)
        self.bar.close()

    def look(self, *, last: bool = False) -> None:
        """Show how far the grid is: always in a terminal, about once a minute or when a cell ends in a log file."""
        start = time.monotonic()
        if start < self.next_look and not last:
            return
        finished, done, running = self._read()
        head = f"{self.total_cells - self.needed_cells + finished} of {self.total_cells} cells done"
        share = done / self.total_work
        text = "; ".join(filter(None, [*running, self._time_to_go(done)]))
        if self.terminal:
            self.bar.set_description_str(head, refresh=False)
            self.bar.n = min(100, 100 * share)
            self.bar.set_postfix_str(text, refresh=False)
            self.bar.refresh()
        elif last or head != self.last_text or time.monotonic() - self.last_line > _SECONDS_BETWEEN_LINES:
            print(f"{time.strftime('%H:%M:%S')} {head}, {share:.0%} of the work; {text}", flush=True)
            self.last_line, self.last_text = time.monotonic(), head
        now = time.monotonic()
        self.next_look = now + 20 * (now - start)  # a large grid is looked at less often

    def _read(self) -> tuple[int, float, list[str]]:
        """How many of the needed cells are done, the work done of theirs, and those that run, in words."""
        finished, done, running = 0, 0.0, []
        for cell, work in self.work.items():
            if (self.outputs / done_marker(cell)).exists():
                finished += 1
                done += work
                continue
            progress, written = _progress(CellFiles(self.outputs / "runs", cell.variant, cell.p).progress)
            done += work * progress["epoch"] / progress["epochs"]
            if written >= self.since:
                text = f"{cell.variant} p={cell.p} epoch {progress['epoch']}/{progress['epochs']}"
                running.append(", ".join(filter(None, [text, progress["description"]])))
        return finished, done, running

    def _time_to_go(self, done: float) -> str:
        if self.done_before is None:
            self.done_before = done
        if done <= self.done_before:
            return ""
        seconds = (time.monotonic() - self.started) * (self.total_work - done) / (done - self.done_before)
        return f"about {tqdm.format_interval(seconds)} to go"


def done_marker(cell: Parameters) -> str:
    """The file of the outputs folder that the job of a cell leaves when it has ended well."""
    return f"runs/{cell.variant}/.p{cell.p:02d}.done"


def _progress(path: Path) -> tuple[dict, float]:
    """What a progress file says and when it was written; no progress where there is none, or another file."""
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        epoch, epochs, description = int(said["epoch"]), int(said["epochs"]), str(said["description"])
        return {"epoch": epoch, "epochs": max(1, epochs), "description": description}, path.stat().st_mtime
    except (OSError, ValueError, KeyError, TypeError):
        return {"epoch": 0, "epochs": 1, "description": ""}, 0.0
