"""What PyTorch's functions do to the factors of channels.

A function that is f(d x) = d f(x) for d > 0 and takes each channel by itself passes labels on; one that moves numbers
moves labels, and is applied to them as it is; a sum ties the channels it adds; a layer ends its inputs' labels and
begins new ones. Whatever is not listed fixes what goes in and what comes out, and is named as the reason.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from equinorm.calls import Call, map_tensors, tensors
from equinorm.channels import CONSTANT, INPUT, compact

if TYPE_CHECKING:
    from equinorm.graph import Recorder


def follow(recorder: Recorder, call: Call) -> None:
    """Label what a call returns, tie and fix the channels that it takes."""
    if call.name in SHAPE_ONLY:
        return
    if call.name in TYPE_OF_OTHERS:
        call = replace(call, args=call.args[:1], kwargs={})
        if not any(recorder.is_followed(tensor) for tensor in call.tensors()):
            return
    if call.result is None or not any(True for _ in tensors(call.result)):
        if call.name in READ:
            _fix(recorder, call)
        return
    if recorder.parameter_name(call.result) is not None:  # `weight.to(dtype)` may be the weight itself
        if call.function.__name__.endswith("_"):
            _parameters_used(recorder, call)
        return
    operation = OPERATIONS.get(call.name)
    labels = None
    if operation and "out" not in call.kwargs:
        with suppress(Exception):  # called in a way that is not foreseen, it is like one that is not listed
            labels = operation(recorder, call)
    if operation not in LAYERS:
        _parameters_used(recorder, call)
    if labels is None:
        labels = _fix(recorder, call)
    results = list(tensors(call.result))
    labels = labels if isinstance(labels, list) else [labels] * len(results)
    for tensor, its_labels in zip(results, labels, strict=True):
        if tensor.is_floating_point() or tensor.is_complex():
            _label(recorder, call, tensor, compact(its_labels))


def _label(recorder: Recorder, call: Call, tensor: Tensor, labels: Tensor) -> None:
    """Label a result. Where it was written over another tensor, views of that one keep the labels that they have."""
    if id(tensor) in call.shapes or any(tensor is given for given in call.tensors()):
        old = recorder.labels(tensor)
        if old is None or call.shapes[id(tensor)] != tensor.shape:
            recorder.channels.fix(labels, f"{call.name} in place{recorder.where()}")
        else:
            recorder.channels.tie(old, labels)
    recorder.label(tensor, labels)
    if not _begins(recorder, call):
        recorder.passed.append((call.name, labels))


def _begins(recorder: Recorder, call: Call) -> bool:
    """Whether it is a layer, whose channels are new."""
    operation = OPERATIONS.get(call.name)
    return operation is _layer or (operation is _batch_norm and recorder.batch_norm == "gamma_beta")


def _fix(recorder: Recorder, call: Call, reason: str | None = None) -> Tensor:
    """Fix all that a call takes; labels for what it returns."""
    reason = reason or f"{call.name}{recorder.where()}"
    _parameters_used(recorder, call)
    labelled = [(tensor, labels) for tensor in call.tensors() if (labels := recorder.labels(tensor)) is not None]
    for _, labels in labelled:
        recorder.channels.fix(labels, reason)
    if len(labelled) == 1 and isinstance(call.result, Tensor):
        ((tensor, labels),) = labelled
        by_channel = all(other is tensor or other.dim() < 2 for other in call.tensors())
        if by_channel and call.shapes[id(tensor)] == call.result.shape:
            return labels  # so that the table shows what is on both sides of it
    return recorder.fixed(INPUT if _is_prepared(recorder, call) else reason)


def _is_prepared(recorder: Recorder, call: Call) -> bool:
    """Whether all that is followed of what it takes comes from the model's input alone, such as whitened images."""
    if any(recorder.parameter_name(tensor) is not None for tensor in call.tensors()):
        return False
    channels, given = recorder.channels, (recorder.labels(tensor) for tensor in call.tensors())
    roots = (root for labels in given if labels is not None for root in channels.roots(labels))
    return all(channels.reason(root) in (INPUT, CONSTANT) for root in roots)


def _parameters_used(recorder: Recorder, call: Call) -> None:
    for tensor in call.tensors():
        if (name := recorder.parameter_name(tensor)) is not None:
            recorder.used_otherwise(name, f"{call.name}{recorder.where()}")


def _same(recorder: Recorder, call: Call) -> Tensor | None:
    """Each number by itself."""
    given = call.argument(0, "input")
    if not isinstance(call.result, Tensor) or call.result.shape != call.shapes.get(id(given)):
        return None
    if not call.result.is_floating_point():
        return None
    others = [tensor for tensor in call.tensors() if tensor is not given and recorder.labels(tensor) is not None]
    return None if others else recorder.labels(given)


def _clamp(recorder: Recorder, call: Call) -> Tensor | None:
    """From 0 upwards it is ReLU."""
    low, high = call.argument(1, "min"), call.argument(2, "max")
    return _same(recorder, call) if low == 0 and not isinstance(low, Tensor) and high is None else None


def _moved(recorder: Recorder, call: Call) -> list[Tensor] | None:
    """Numbers are moved, repeated or left out, and so are labels."""
    if any(isinstance(value, torch.dtype) for value in (*call.args, *call.kwargs.values())):
        return None  # `view` to another dtype takes numbers apart
    followed = [tensor for tensor in call.tensors() if recorder.labels(tensor) is not None]
    if not all(tensor.numel() for tensor in (*followed, *tensors(call.result))):
        # without numbers there are no labels; on other inputs there may be some
        return _fix(recorder, call, f"nothing was selected on the example{recorder.where()}")
    _tie_what_is_picked(recorder, call)

    def stand_in(tensor: Tensor) -> Tensor:
        labels = recorder.labels(tensor)
        if labels is not None:
            return labels.expand(call.shapes[id(tensor)])
        if tensor.is_floating_point() or call.name in JOINING:  # these have no index; whole numbers are made floats
            return recorder.fixed(CONSTANT).expand(tensor.shape)
        return tensor.cpu()  # an index

    args, kwargs = map_tensors(stand_in, call.args), map_tensors(stand_in, call.kwargs)
    try:
        moved = call.function(*args, **kwargs)
    except RuntimeError:  # not all views can be had of labels that are expanded
        moved = call.function(*map_tensors(Tensor.contiguous, args), **map_tensors(Tensor.contiguous, kwargs))
    return list(tensors(moved))


def _tie_what_is_picked(recorder: Recorder, call: Call) -> None:
    """Tie channels along the axes on which a tensor picks some: on other inputs it may pick others.

    Buffers and parameters pick the same on all inputs. Raises ValueError for a way to pick that is not known, which
    `follow` takes for unknown.
    """
    given = call.argument(0, "input")
    if call.name in JOINING or (labels := recorder.labels(given)) is None:
        return
    same = {id(tensor) for tensor in (*recorder.model.buffers(), *recorder.model.parameters())}

    def picks(part: object) -> bool:
        parts = (part.start, part.stop, part.step) if isinstance(part, slice) else (part,)
        return any(isinstance(part, Tensor) and not part.is_floating_point() and id(part) not in same for part in parts)

    if call.name == "getitem":
        index = call.args[1] if isinstance(call.args[1], tuple) else (call.args[1],)
        axes, taken = [], 0
        for k, part in enumerate(index):
            if part is Ellipsis:
                taken = given.dim() - sum(map(_axes_taken, index[k + 1 :]))
                continue
            if picks(part):
                axes += range(taken, taken + _axes_taken(part))
            taken += _axes_taken(part)
    elif not any(map(picks, call.tensors())):
        return
    elif call.name in ("index_select", "select", "narrow"):
        axes = [call.argument(1, "dim")]
    else:
        raise ValueError(f"{call.name} by a tensor")
    if axes:
        recorder.label(given, recorder.constant_along(labels, axes))


def _axes_taken(part: object) -> int:
    """How many axes a part of an index is for: of a mask, as many as it has."""
    if part is None or isinstance(part, bool):
        return 0
    return part.ndim if str(getattr(part, "dtype", "")).endswith("bool") else 1


def _window(recorder: Recorder, call: Call) -> Tensor | None:
    """Pooling over the last axes, as many as the name says, and interpolation over all after the channels."""
    labels = recorder.labels(given := call.argument(0, "input"))
    if labels is None:
        return None
    count = int(call.name[-2]) if call.name[-2:] in ("1d", "2d", "3d") else len(call.shapes[id(given)]) - 2
    return recorder.constant_along(labels, range(-count, 0))


def _padded(recorder: Recorder, call: Call) -> Tensor | None:
    """Zeros and copies of what is at the borders; rows of zeros among the channels have any scale."""
    labels, padding = recorder.labels(call.argument(0, "input")), call.argument(1, "pad")
    if labels is None:
        return None
    zeros = call.argument(2, "mode", "constant") == "constant"
    if zeros and call.argument(3, "value") not in (None, 0):
        return None
    for place, (before, after) in enumerate(zip(padding[::2], padding[1::2], strict=True)):
        axis = labels.dim() - 1 - place
        if labels.shape[axis] == 1 or (before, after) == (0, 0):
            continue
        if not zeros or min(before, after) < 0:
            labels = recorder.constant_along(labels, [axis])
            continue
        shape = [1] * labels.dim()
        sides = []
        for count in (before, after):
            shape[axis] = count
            size = [*labels.shape[:axis], count, *labels.shape[axis + 1 :]]
            sides.append(recorder.channels.new(count).view(shape).expand(size))
        labels = torch.cat([sides[0], labels, sides[1]], dim=axis)
    return labels


def _reduced(recorder: Recorder, call: Call) -> Tensor | None:
    """A sum, mean or largest number over some axes, whose channels are tied."""
    labels = recorder.labels(call.argument(0, "input"))
    if labels is None or not isinstance(call.result, Tensor):
        return None
    axes = call.argument(1, "dim", call.kwargs.get("axis"))
    axes = list(range(labels.dim())) if axes is None or axes == () else [axes] if isinstance(axes, int) else list(axes)
    labels = recorder.constant_along(labels, axes)
    if call.result.dim() < labels.dim():
        for axis in sorted((axis % labels.dim() for axis in axes), reverse=True):
            labels = labels.squeeze(axis)
    return labels


def _added(recorder: Recorder, call: Call) -> Tensor | None:
    """Activations that are added, or of which the larger is taken, have one scale."""
    one, other = call.argument(0, "input"), call.argument(1, "other")
    labels = [found for operand in (one, other) if (found := recorder.labels(operand)) is not None]
    if not labels:
        return None
    if len(labels) == 2:
        recorder.channels.tie(*labels)
        return torch.broadcast_tensors(*labels)[0]
    if not isinstance(other, Tensor) and other == 0:
        return labels[0]
    return _fix(recorder, call, f"{call.name} of a constant{recorder.where()}")


def _multiplied(recorder: Recorder, call: Call) -> Tensor | None:
    """By a constant: passed on. By another activation: one of the two must keep its scale."""
    one, other = (recorder.labels(call.argument(place, name)) for place, name in ((0, "input"), (1, "other")))
    dimensions = call.result.dim()
    if one is not None and other is not None:
        channels = recorder.channels
        if all(channels.reason(root) for root in channels.roots(one)):
            one, other = other, one
        channels.fix(other, f"{call.name} of two activations{recorder.where()}")
    kept = other if one is None else one
    return None if kept is None else kept.reshape([1] * (dimensions - kept.dim()) + list(kept.shape))


def _divided(recorder: Recorder, call: Call) -> Tensor | None:
    if recorder.labels(call.argument(0, "input")) is None or call.kwargs.get("rounding_mode") is not None:
        return None
    if (divisor := recorder.labels(call.argument(1, "other"))) is not None:
        recorder.channels.fix(divisor, f"{call.name} of two activations{recorder.where()}")
    return _multiplied(recorder, call)


def _layer(recorder: Recorder, call: Call) -> Tensor | None:
    """A linear layer or a convolution."""
    given, weight, bias = (call.argument(place, name) for place, name in enumerate(("input", "weight", "bias")))
    for kind, tensor in (("weight", weight), ("bias", bias)):
        if tensor is not None and recorder.parameter_name(tensor) is None:
            return _fix(recorder, call, f"the {kind} of {call.name}{recorder.where()} is computed or no parameter")
    axis = -1 if call.name == "linear" else -1 - int(call.name[-2])
    groups = 1 if call.name == "linear" else call.argument(6, "groups", 1)
    if weight.dim() != 1 - axis or (bias is not None and bias.shape != (call.result.shape[axis],)):
        return _fix(recorder, call, f"the shape of a parameter of {call.name}{recorder.where()}")
    if (name := recorder.parameter_name(given)) is not None:
        recorder.used_otherwise(name, f"{call.name}{recorder.where()} as an input")
    labels = recorder.labels(given)
    if labels is None:
        labels = recorder.fixed(CONSTANT).view([1] * given.dim())
    labels = recorder.constant_along(labels, (other for other in range(-labels.dim(), 0) if other != axis))
    columns = labels.flatten().expand(given.shape[axis])
    rows = recorder.layer(
        recorder.parameter_name(weight),
        recorder.parameter_name(bias),
        call.result.shape[axis],
        columns,
        None,
        groups=groups,
        transposed=call.name.startswith("conv_transpose"),
        is_batch_norm=False,
    )
    return rows.view([-1] + [1] * (-1 - axis))


def _batch_norm(recorder: Recorder, call: Call) -> Tensor | None:
    """As the recorder's `batch_norm` asks: passed on ("row"), or a layer of gamma and beta alone ("gamma_beta")."""
    if call.function is not functional.batch_norm or recorder.batch_norm is None:
        return None
    given = inspect.signature(call.function).bind(*call.args, **call.kwargs).arguments
    labels = recorder.labels(given["input"])
    if labels is None:
        return None
    if recorder.batch_norm == "row":
        recorder.rescaled_rows.append(labels)
        return labels
    gamma, beta = (recorder.parameter_name(given.get(kind)) for kind in ("weight", "bias"))
    if gamma is None or (beta is None and given.get("bias") is not None):
        return _fix(recorder, call, f"{call.name} without gamma{recorder.where()}")
    dimensions = labels.dim()
    labels = recorder.constant_along(labels, (axis for axis in range(dimensions) if axis != 1))
    channels = labels.flatten().expand(given["input"].shape[1])
    recorder.channels.fix(channels, f"{call.name}{recorder.where()}")
    rows = recorder.layer(gamma, beta, len(channels), None, channels, is_batch_norm=True)
    return rows.view([-1] + [1] * (dimensions - 2))


NAMES: dict[Callable[[Recorder, Call], Tensor | list[Tensor] | None], str] = {
    _same: (
        "relu leaky_relu prelu rrelu dropout dropout1d dropout2d dropout3d feature_dropout native_dropout neg negative "
        "positive pos abs absolute clone detach contiguous to type_as float double half bfloat16 cpu cuda data "
        "requires_grad"
    ),
    _clamp: "clamp clamp_min clip",
    _moved: (
        "reshape view flatten unflatten squeeze unsqueeze permute transpose t T mT movedim moveaxis swapaxes swapdims "
        "expand expand_as view_as reshape_as repeat tile getitem split chunk tensor_split unbind narrow select "
        "index_select cat concat concatenate stack pixel_shuffle pixel_unshuffle channel_shuffle flip roll"
    ),
    _window: (
        "max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d "
        "adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d interpolate upsample"
    ),
    _padded: "pad",
    _reduced: "mean sum amax amin",
    _added: "add iadd radd sub isub rsub subtract maximum minimum",
    _multiplied: "mul imul rmul multiply",
    _divided: "div idiv truediv itruediv divide true_divide",
    _layer: "linear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d",
    _batch_norm: "batch_norm",
}
OPERATIONS = {name: operation for operation, names in NAMES.items() for name in names.split()}
LAYERS = (_layer, _batch_norm)
JOINING = {"cat", "concat", "concatenate", "stack"}
SHAPE_ONLY = {
    *("new_empty", "new_zeros", "new_ones", "new_full", "empty_like", "zeros_like", "ones_like", "full_like"),
    *("rand_like", "randn_like", "randint_like"),
}
"""Functions that take from a tensor its shape, type and device alone: what they return is a constant."""
TYPE_OF_OTHERS = {"to", "type_as"}
"""Functions that take from all tensors but the first their type and device alone."""
READ = {
    "item",
    "tolist",
    "numpy",
    "array",
    "bool",
    "float",
    "int",
    "index",
    "complex",
    "equal",
    "allclose",
    "is_nonzero",
    "setitem",
}
"""Functions that return no tensor and still tell, or change, what is in one."""
