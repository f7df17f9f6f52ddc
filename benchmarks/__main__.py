"""python -m benchmarks: the trainer's speed as a table of ratios, each measured side by side in one run."""

import argparse
import os
import sys
import time
from pathlib import Path

import torch

from benchmarks import floor, gpu, jobs, memory, onednn, plain, precision, seeds, steps
from benchmarks.settings import Settings, Skipped, images
from benchmarks.table import markdown
from reproduction import provenance
from reproduction.training import devices

BENCHMARKS = {
    "floor": floor,
    "steps": steps,
    "onednn": onednn,
    "plain": plain,
    "seeds": seeds,
    "jobs": jobs,
    "memory": memory,
    "precision": precision,
    "gpu": gpu,
}


def main() -> None:
    arguments = parse_arguments()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    settings = Settings(images(arguments.quick), arguments.quick, arguments.full_epochs)
    parts = []

    def show(part: str) -> None:
        parts.append(part)
        print(part, end="\n\n", flush=True)

    show(header(settings))
    for name in arguments.only or BENCHMARKS:
        show(section(name, settings))
    if arguments.output:
        arguments.output.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", action="append", choices=BENCHMARKS, help="only this one; may be given several times")
    parser.add_argument("--quick", action="store_true", help="a smoke run of seconds; its numbers mean little")
    parser.add_argument("--full-epochs", action="store_true", help="time whole epochs of the plain way (minutes more)")
    parser.add_argument("--threads", type=int, help="PyTorch's threads (default: its own choice)")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the tables there too, as Markdown")
    return parser.parse_args()


def header(settings: Settings) -> str:
    """The hardware, the versions and the data."""
    cpu = devices.describe_device(torch.device("cpu"))
    lines = {
        "processor": f"{cpu['name']}, {cpu['cores']} cores, {cpu['threads']} threads used, "
        f"{torch.backends.cpu.get_cpu_capability()}",
        "load before the start": f"{os.getloadavg()[0]:.1f} (a quiet machine has 0)",
        "GPU": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "versions": ", ".join(f"{name} {version}" for name, version in provenance.versions().items()),
        "code": f"commit {provenance.git_commit()}",
        "data": settings.dataset.description,
        "date": time.strftime("%Y-%m-%d"),
    }
    if settings.quick:
        lines["a quick run"] = "few and short repetitions; do not trust the numbers"
    return "\n".join(f"- {name}: {value}" for name, value in lines.items())


def section(name: str, settings: Settings) -> str:
    """The table of one benchmark, under its description."""
    module = BENCHMARKS[name]
    print(f"measuring {name} ...", file=sys.stderr, flush=True)
    start = time.perf_counter()
    try:
        body = markdown(module.run(settings))
    except Skipped as reason:
        body = f"Skipped: {reason}."
    first_line = module.__doc__.splitlines()[0]
    return f"## {name}\n{first_line}\n\n{body}\n\n({time.perf_counter() - start:.0f} s)"


if __name__ == "__main__":
    main()
