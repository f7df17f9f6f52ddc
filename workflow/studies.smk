# One job for each study, its notebook. Started by run_studies.py, which says which ones are needed.
import sys
from pathlib import Path

from reproduction.checkout import REPOSITORY

sys.path.insert(0, workflow.basedir)
import orphans

if workflow.is_main_process:
    orphans.stop_with(config["launcher"], config["seconds_to_stop"])
(outputs,), (python,) = config["outputs"], config["python"]
run_notebook = str(REPOSITORY / "workflow" / "run_notebook.py")


rule study:
    output:
        touch("{study}/.executed"),
    log:
        notebook="notebooks/{study}.ipynb",
    threads: config["threads"]
    shell:
        "exec {python:q} {run_notebook:q} notebooks/studies/{wildcards.study}.ipynb"
        " --save-as {log.notebook:q} --parameters '{{\"remake\": {config[remake]}}}' --outputs {outputs:q}/{wildcards.study}"
        " --device {config[device]:q} --timeout {config[timeout]} --stop-with-parent"
