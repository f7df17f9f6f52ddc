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
        self.folders: dict[Path, dict[str, Parameters]] = {}  # for each folder, its cells by the stem of their files
        for cell in needed:
            csv = CellFiles(outputs / "runs", cell.variant, cell.p).csv
            self.folders.setdefault(csv.parent, {})[csv.stem] = cell
        self.terminal = sys.stderr.isatty()
        self.since = time.time()  # older progress files are of cells that were cut off
        self.done_before = self._read()[1]
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
        for folder, cells in self.folders.items():
            try:
                names = sorted(path.name for path in folder.iterdir())  # once for all its cells
            except OSError:
                continue
            ended = {name[1:].removesuffix(".done") for name in names if name.endswith(".done")} & cells.keys()
            finished += len(ended)
            done += sum(self.work[cells[stem]] for stem in ended)
            for stem in (name.removesuffix(".progress.json") for name in names if name.endswith(".progress.json")):
                if stem in cells and stem not in ended:
                    cell, (progress, written) = cells[stem], _progress(folder / f"{stem}.progress.json")
                    done += self.work[cell] * progress["epoch"] / progress["epochs"]
                    if written >= self.since:
                        text = f"{cell.variant} p={cell.p} epoch {progress['epoch']}/{progress['epochs']}"
                        running.append(", ".join(filter(None, [text, progress["description"]])))
        return finished, done, running

    def _time_to_go(self, done: float) -> str:
        gained = done - self.done_before
        if gained <= 0:
            return ""
        seconds = (time.monotonic() - self.started) * (self.total_work - done) / gained
        return f"about {tqdm.format_interval(seconds)} to go"


def _progress(path: Path) -> tuple[dict, float]:
    """What a progress file says and when it was written; no progress where it is just being removed."""
    try:
        return json.loads(path.read_text(encoding="utf-8")), path.stat().st_mtime
    except (OSError, ValueError):
        return {"epoch": 0, "epochs": 1, "description": ""}, 0.0
