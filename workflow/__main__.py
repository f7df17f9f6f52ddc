"""`./run_all.sh`: its arguments, how it can be stopped, and its exit status; the work is in run_all.py."""

import os
import signal
import sys

for number, name in enumerate(("stdin", "stdout", "stderr")):  # a closed one would be the next file that is opened
    if getattr(sys, name) is None:
        os.open(os.devnull, os.O_RDWR)
        setattr(sys, name, open(number, "w" if number else "r", closefd=False, encoding="utf-8"))  # noqa: SIM115

import stopping
import surroundings
from arguments import parse_arguments

STOPPED = "stopped; what is done is kept, and the same command goes on"

arguments = parse_arguments()  # before the imports below, so that --help and mistakes are answered at once
for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    if signal.getsignal(sign) != signal.SIG_IGN:  # as nohup has it
        signal.signal(sign, stopping.request)
try:
    if arguments.profile == "studies":
        from run_studies import main
    else:
        from run_all import main
    os.environ.update(surroundings.with_home(dict(os.environ)))
    status = main(arguments)
    sys.stdout.flush()
except KeyboardInterrupt:
    print(STOPPED, file=sys.stderr)
    status = 130
except BrokenPipeError:  # whoever read this has seen enough: `| head`
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if not arguments.dry_run:
        print(STOPPED, file=sys.stderr)
    status = 1
except OSError as error:  # batch.py names the files of the outputs folder
    what = error.filename or "standard output, or the limits of this machine"
    print(f"{what}: {error.strerror}; what is done is kept, and the same command goes on", file=sys.stderr)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left in its buffer would fail once more
    status = 1
sys.exit(status)
