"""The notebook of a variant, made of one template: only its text and the parameters of its own parts differ.

The text, with the variant's mathematics, is tools/notebooks/<variant>.md. `sync_notebooks.py` writes the notebooks.
"""

import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

TOOLS = Path(__file__).resolve().parent
sys.path.append(str(TOOLS.parent / "lib"))

from reproduction.protocol.parameters import Parameters
from reproduction.protocol.variants import VARIANTS

P = 5
"""The depth that the notebooks have as their default."""

OWN = {
    "enorm": {"c": "norm of a layer over that of the one before it"},
    "group_norm": {"groups": "number of groups that the units of a layer are cut into; a divisor of 500"},
    "layer_rates": {"rate_c": "the c of ENorm that the rates stand for; None: 1.2"},
    "path_sgd": {"path_ratio": 'or "none": steps without the ratio of the first one'},
}
"""For each part the parameters that only it knows, each with what it is."""

PROTOCOL = (
    "Protocol: 60 epochs of SGD, batch 256, weight decay 10⁻³, learning rate falling linearly to 0; "
    "final weights are tested on the 10,000 test images."
)

PARAMETERS = f"""\
# One cell of the grid. Change these and run all cells below.
p = {P}  # number of intermediary layers, 0 or more
seeds = [0]  # one run for each
epochs = 60
learning_rate = None  # None: the variant's own, of Table 1 of the 2019 report where that has it
{{OWN}}dataset = "cifar10"  # or "digits", which needs no download
precision = "float32"  # of the matrix products; or "tf32" (on a GPU), "bfloat16"
details = {{}}  # any others of reproduction.protocol.parameters, such as {{"warmup": 1}}
device = "auto"  # a CUDA GPU where there is one; or "cpu", "cuda", ...
outputs = "outputs/interactive"  # results go to <outputs>/runs/
remake = False  # True: train runs anew that have a result there"""

TRAINING = """\
from reproduction.evidence import figures
from reproduction.run import run

result = run(
    variant="{VARIANT}",
    p=p,
    seeds=seeds,
    epochs=epochs,
    learning_rate=learning_rate,
{OWN}    dataset=dataset,
    precision=precision,
    **details,
    device=device,
    outputs=outputs,
    remake=remake,
)"""

CURVES = """\
## Curves

One line for each seed; a cross where a run's loss was no longer finite."""

RESULT = """\
## Result

The last epoch of each run."""


def notebook_of(variant: str) -> NotebookNode:
    """The notebook, without the text of the cells that all notebooks share."""
    file = TOOLS / "notebooks" / f"{variant}.md"
    if not file.exists():
        raise ValueError(f"tools/notebooks/{file.name} is missing: the title and mathematics of {variant}")
    text = file.read_text(encoding="utf-8").strip()
    own = {name: what for part in VARIANTS[variant].parts for name, what in OWN.get(part, {}).items()}
    values = "".join(
        f"{name} = {_shown(Parameters.model_fields[name].default)}  # {what}\n" for name, what in own.items()
    )
    passed = "".join(f"    {name}={name},\n" for name in own)
    cells = [
        new_markdown_cell(metadata={"tags": ["badge"]}),
        new_markdown_cell(f"{text}\n\n{PROTOCOL}"),
        new_markdown_cell(metadata={"tags": ["before"]}),
        new_code_cell(metadata={"tags": ["bootstrap"]}),
        new_markdown_cell("## Parameters"),
        new_code_cell(PARAMETERS.replace("{OWN}", values), metadata={"tags": ["parameters"]}),
        new_markdown_cell("## Training"),
        new_code_cell(TRAINING.replace("{VARIANT}", variant).replace("{OWN}", passed)),
        new_markdown_cell(CURVES),
        new_code_cell("figures.training_curves(result.frame);"),
        new_markdown_cell(RESULT),
        new_code_cell("print(result.describe())\nresult.final()"),
    ]
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number:02d}"
    return nbformat.from_dict(new_notebook(cells=cells))


def _shown(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)
