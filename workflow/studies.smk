# One job for each study, its notebook. Started by run_studies.py, which says which ones are needed.
import json

from workflow import processes

if workflow.is_main_process:
    processes.stop_with_parent(config["launcher"], config["seconds_to_stop"])


rule needed:
    input:
        config["needed"],


rule study:
    output:
        touch("{study}/.executed"),
    log:
        notebook="notebooks/{study}.ipynb",
    params:
        parameters=lambda wildcards: json.dumps({"remake": config["remake"]}),
    threads: config["threads"]
    shell:
        "exec {config[run_notebook]} notebooks/studies/{wildcards.study}.ipynb"
        " --save-as {log.notebook:q} --parameters {params.parameters:q} --outputs {config[outputs]:q}/{wildcards.study}"
        " --device {config[device]:q}"
