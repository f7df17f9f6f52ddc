"""What a running grid shows: how many cells are done, which ones run, how far they are, and the time to go."""

import json
import sys
import time
from pathlib import Path

from tqdm import tqdm

from equinorm.config import Profile
from equinorm.experiments import Parameters
from equinorm.results import CellFiles

_SECONDS_BETWEEN_LINES = 60  # in a log file; a terminal's line is redrawn in place


class Watcher:
    """Reads the progress files that cells keep, and shows one bar; its unit is the work of all matrix products."""

    def __init__(self, profile: Profile, outputs: Path, needed: list[Parameters], images: tuple[int, int]) -> None:
        self.outputs, self.needed = outputs, needed
        self.total_cells = len(profile.cells())
        self.work = {cell: cell.flops(*images) for cell in needed}
        self.terminal = sys.stderr.isatty()
        self.done_before = self._done()
        self.started, self.last_line, self.last_text = time.monotonic(), 0.0, ""
        self.since = time.time()  # older progress files are of cells that were cut off
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
        finished = sum(self._files(cell).json.exists() for cell in self.needed)
        head = f"{self.total_cells - len(self.needed) + finished} of {self.total_cells} cells done"
        share = self._done() / sum(self.work.values())
        text = "; ".join(filter(None, [*self._running(), self._time_to_go()]))
        if self.terminal:
            self.bar.set_description_str(head, refresh=False)
            self.bar.n = min(100, 100 * share)
            self.bar.set_postfix_str(text, refresh=False)
            self.bar.refresh()
        elif last or head != self.last_text or time.monotonic() - self.last_line > _SECONDS_BETWEEN_LINES:
            print(f"{time.strftime('%H:%M:%S')} {head}, {share:.0%} of the work; {text}", flush=True)
            self.last_line, self.last_text = time.monotonic(), head

    def _files(self, cell: Parameters) -> CellFiles:
        return CellFiles(self.outputs / "runs", cell.variant, cell.p)

    def _progress(self, cell: Parameters) -> dict | None:
        try:
            return json.loads(self._files(cell).progress.read_text())
        except (OSError, ValueError):
            return None

    def _done(self) -> float:
        """Work done, of that of the needed cells."""
        done = 0.0
        for cell in self.needed:
            if self._files(cell).json.exists():
                done += self.work[cell]
            elif progress := self._progress(cell):
                done += self.work[cell] * progress["epoch"] / progress["epochs"]
        return done

    def _running(self) -> list[str]:
        lines = []
        for cell in self.needed:
            progress = self._progress(cell)
            if progress is not None and self._files(cell).progress.stat().st_mtime >= self.since:
                text = f"{cell.variant} p={cell.p} epoch {progress['epoch']}/{progress['epochs']}"
                lines.append(", ".join(filter(None, [text, progress["description"]])))
        return lines

    def _time_to_go(self) -> str:
        done = self._done()
        gained = done - self.done_before
        if gained <= 0:
            return ""
        seconds = (time.monotonic() - self.started) * (sum(self.work.values()) - done) / gained
        return f"about {tqdm.format_interval(seconds)} to go"
