"""`./run_all.sh`: its arguments, how it can be stopped, and its exit status; the work is in run_all.py."""

import os
import signal
import sys

import stopping
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
    status = main(arguments)
    sys.stdout.flush()
except KeyboardInterrupt:
    print(STOPPED, file=sys.stderr)
    status = 1
except BrokenPipeError:  # whoever read this has seen enough: `| head`
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if not arguments.dry_run:
        print(STOPPED, file=sys.stderr)
    status = 1
sys.exit(status)
