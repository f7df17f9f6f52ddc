"""The trainer's speed as tables of ratios, each measured side by side in one run."""

import argparse
import inspect
import os
import time

import torch

from benchmarks import cycle, gpu, models, plain, processes, steps
from benchmarks.cell import random_images
from benchmarks.table import markdown
from reproduction import provenance
from reproduction.protocol.variants import VARIANTS
from reproduction.training.devices import describe_device

BENCHMARKS = {  # functions that yield the rows of a table, given the arguments of the command
    "steps": steps.variants,
    "bfloat16": steps.bfloat16,
    "epoch": steps.epoch,
    "cycle": cycle.run,
    "models": models.run,
    "plain": plain.run,
    "jobs": processes.jobs,
    "memory": processes.memory,
    "gpu": gpu.run,
}


def main() -> None:
    asked = parse_arguments()
    asked.threads = asked.threads or sorted({1, torch.get_num_threads()})
    asked.rounds = lambda full: 1 if asked.quick else full
    asked.images = random_images(2128, 500) if asked.quick else random_images(50_000, 10_000)
    cpu = describe_device(torch.device("cpu"))
    gpu_name = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    print(f"- {cpu['name']}, {cpu['cores']} cores, {torch.backends.cpu.get_cpu_capability()}; GPU: {gpu_name}")
    print(f"- {', '.join(f'{name} {version}' for name, version in provenance.versions().items())}")
    print(
        f"- commit {provenance.git_commit()}, {time.strftime('%Y-%m-%d')}, load {os.getloadavg()[0]:.1f}\n", flush=True
    )
    for name in asked.only or BENCHMARKS:
        print(f"## {name}\n{inspect.getdoc(BENCHMARKS[name])}\n", flush=True)
        torch.set_num_threads(max(asked.threads))
        rows = list(BENCHMARKS[name](asked))
        print(markdown(rows) if rows else "Skipped: this machine cannot measure it.", end="\n\n", flush=True)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, help="only these")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, metavar="NAME", help="for steps, bfloat16 and gpu")
    parser.add_argument("--p", nargs="+", type=int, metavar="P", help="depths")
    parser.add_argument("--threads", nargs="+", type=int, metavar="N", help="default: 1, and PyTorch's choice")
    parser.add_argument("--precision", nargs="+", choices=["float32", "bfloat16"], help="for steps and plain")
    parser.add_argument("--quick", action="store_true", help="a smoke run, whose numbers mean little")
    asked = parser.parse_args()
    cores = os.cpu_count() or 1
    if not all(1 <= threads <= cores for threads in asked.threads or []):
        parser.error(f"--threads takes whole numbers from 1 to {cores}, the cores of this machine")
    if min(asked.p or [0]) < 0:
        parser.error("--p takes whole numbers from 0")
    return asked


if __name__ == "__main__":
    main()
