#!/usr/bin/env python3
"""Kill `./run_all.sh demo` again and again at random moments; at the end its results must be those of a run in peace.

    python tests/kill_demo.py [--kills 20] [--seed 0]

The victims, in turn: a kernel, a notebook runner, Snakemake, the launcher, and every process at once. Each kill
(SIGKILL) comes a random time after a kernel was seen at work. After a kill that ends the run, no process of it may be
left some seconds later; then it is started again. Where a demo is done and kills are left, another begins in a new
folder. tests/README.md has its output.
"""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

import psutil
from processes import Command

ROOT = Path(__file__).resolve().parents[1]
VICTIMS = ("kernel", "notebook runner", "Snakemake", "launcher", "all")
SECONDS_TO_END = 20
LONGEST_WAIT = 25  # about as long as a cell of demo takes


def start(outputs: Path) -> Command:
    command = ["bash", str(ROOT / "run_all.sh"), "demo", "--outputs", str(outputs)]
    return Command(command, outputs.with_suffix(".log"))


def kill(run: Command, victim: str) -> str | None:
    """Kill it; what was killed, or None where it was not there."""
    processes = run.alive() if victim == "all" else run.of_kind(victim)[:1]
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            return None
    return f"{len(processes)} processes" if victim == "all" else f"{victim} {processes[0].pid}" if processes else None


def demo_with_kills(outputs: Path, victims: list[str], chance: random.Random) -> int:
    """Run demo to its end, killing `victims`, which is emptied, as long as it lasts; how many starts it took."""
    run, starts, due = start(outputs), 1, None
    while True:
        status = run.process.poll()
        if status is not None:
            if left := run.wait_for_end_of_all(SECONDS_TO_END):
                sys.exit(f"still alive {SECONDS_TO_END} s later: {[process.cmdline() for process in left]}")
            if status == 0:
                return starts
            run, starts, due = start(outputs), starts + 1, None
        if victims and due is None and run.of_kind("kernel"):
            due = time.monotonic() + chance.uniform(0, LONGEST_WAIT)
        if victims and due is not None and time.monotonic() >= due and run.of_kind("kernel"):
            done = len(list(outputs.glob("runs/*/*.csv")))
            if killed := kill(run, victims[0]):
                victim, moment, due = victims.pop(0), time.monotonic(), None
                text = f"{time.strftime('%H:%M:%S')} {done:2} of 12 cells done, killed: {killed}"
                if victim in ("Snakemake", "launcher", "all"):
                    left = run.wait_for_end_of_all(SECONDS_TO_END)
                    if left:
                        sys.exit(f"{text}\nstill alive {SECONDS_TO_END} s later: {[p.cmdline() for p in left]}")
                    text += f"; nothing left after {time.monotonic() - moment:.1f} s"
                print(text, flush=True)
        time.sleep(0.05)


def compared(outputs: Path, expected: Path) -> int:
    """How many CSV files of results and tables are the same in both; exits where one is not. cost.csv holds times."""
    names = {
        path.relative_to(folder)
        for folder in (outputs, expected)
        for path in [*folder.glob("runs/*/*.csv"), *folder.glob("tables/*.csv")]
        if path.name != "cost.csv"
    }
    for name in sorted(names):
        if not (outputs / name).exists() or (outputs / name).read_bytes() != (expected / name).read_bytes():
            sys.exit(f"{outputs / name}: not the same as {expected / name}")
    return len(names)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where the runs go (default: a new temporary folder)")
    arguments = parser.parse_args()
    folder = (arguments.folder or Path(tempfile.mkdtemp(prefix="kill-demo-"))).resolve()
    chance = random.Random(arguments.seed)
    folder.mkdir(parents=True, exist_ok=True)
    expected = folder / "in_peace"
    demo_with_kills(expected, [], chance)
    print(
        f"{time.strftime('%H:%M:%S')} demo in peace is done; {arguments.kills} kills, seed {arguments.seed}", flush=True
    )
    victims = [VICTIMS[k % len(VICTIMS)] for k in range(arguments.kills)]
    round_ = 0
    while victims:
        round_ += 1
        outputs = folder / f"round_{round_}"
        starts = demo_with_kills(outputs, victims, chance)
        same = compared(outputs, expected)
        print(f"{time.strftime('%H:%M:%S')} demo {round_} is done after {starts} starts: "
              f"all {same} CSV files are those of the run in peace", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
