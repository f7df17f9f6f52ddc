"""The state of a training after each epoch, so that one that was cut off goes on from there, bit for bit."""

import io
import json
from pathlib import Path

import torch

from reproduction import up_to_date
from reproduction.data.datasets import Dataset
from reproduction.files import atomically
from reproduction.protocol.parameters import Parameters


def identity(parameters: Parameters, dataset: Dataset) -> dict[str, str]:
    """What a checkpoint must share with a training that goes on from it."""
    return {
        "parameters": parameters.model_dump_json(),
        "schedule": json.dumps(parameters.schedule()),
        "data": dataset.fingerprint,
        "code": up_to_date.training_code(),
    }


def save(path: Path, identity: dict[str, str], state: dict) -> None:
    """Write `state` to `path`, replacing what is there only once the new file is whole."""
    content = io.BytesIO()
    torch.save({"identity": identity, **state}, content)
    with atomically(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def asked(path: Path) -> tuple[int, ...]:
    """The seeds that the training whose checkpoint is at `path` was asked for; none where it cannot be read."""
    try:
        return tuple(torch.load(path, map_location="cpu", weights_only=True)["asked"])
    except Exception:  # as in `load`, which says so
        return ()


def load(path: Path, identity: dict[str, str]) -> dict | None:
    """The state at `path`, or None where there is none, it cannot be read, or it belongs to another training."""
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a file of any content: what torch.load raises is not one type
        print(f"{path}: not a readable checkpoint ({type(error).__name__}); training starts anew")
        return None
    if not isinstance(state, dict) or state.get("identity") != identity:
        print(f"{path}: is of other parameters, data or code; training starts anew")
        return None
    return state
