"""How activations go through a model, seen by running it: which layer makes each channel, and which take it.

The model runs on an example, and PyTorch shows every function that it calls (``TorchFunctionMode``). So control flow,
functional activations, residual connections and layers used twice are seen as they are, and nothing is assumed of the
modules' classes. Each activation has labels: at each place, the channel (`channels.Channels`) by whose factor d the
numbers there are multiplied. `operations` says what each function does to them.

Not seen are functions of the user's own in C++ and what ``torch.jit`` has compiled, so `ENorm` tests what it has been
told on the model's output; nor activations that leave by another way, such as a hook that keeps them for a loss.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import product
from typing import Literal

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from equinorm import operations
from equinorm.calls import Call, map_tensors, tensors
from equinorm.chain import span
from equinorm.channels import INPUT, OUTPUT, Channels
from equinorm.function_change import buffers_kept, in_mode
from equinorm.layers import Layer

BatchNormRescaling = Literal["row", "gamma_beta"]


@dataclass
class Use:
    """A layer with the labels of its channels.

    - rows, columns: ``[out]`` and ``[in]``; BatchNorm has no columns
    - measured: for BatchNorm, the channels ``[out]`` that it normalises
    """

    layer: Layer
    rows: Tensor
    columns: Tensor | None = None
    measured: Tensor | None = None


@dataclass(eq=False)
class Recorder(TorchFunctionMode):
    """Labels activations while a model runs under it.

    - uses: the layers by name, in the order in which they were called
    - passed: what activations went through: name, labels
    - outputs: labels of the model's outputs
    """

    model: nn.Module
    batch_norm: BatchNormRescaling | None
    channels: Channels = field(default_factory=Channels)
    uses: dict[str, Use] = field(default_factory=dict)
    passed: list[tuple[str, Tensor]] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)
    rescaled_rows: list[Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._labels = WeakTensorKeyDictionary()
        self._names = {id(parameter): name for name, parameter in self.model.named_parameters()}
        self._seen: set[str] = set()
        self._other_uses: dict[str, str] = {}
        self._owners: dict[str, str] = {}
        self._where: list[str] = []

    def __torch_function__(self, function: Callable, types: object, args: tuple = (), kwargs: dict | None = None):  # noqa: ANN204
        kwargs = kwargs or {}
        given = [tensor for tensor in tensors((args, kwargs)) if self.is_followed(tensor)]
        call = Call(function, args, kwargs, {id(tensor): tensor.shape for tensor in given})
        self._seen.update(self._names[id(tensor)] for tensor in given if id(tensor) in self._names)
        call.result = function(*args, **kwargs)
        if given:
            operations.follow(self, call)
        return call.result

    def run(self, inputs: tuple, named_inputs: Mapping[str, object]) -> None:
        """Run the model in the mode that it is in."""
        for tensor in tensors((inputs, named_inputs)):
            if tensor.is_floating_point():
                self.label(tensor, self.fixed(INPUT))
        with torch.no_grad(), _uncompiled(), self._module_names(), self:
            result = self.model(*inputs, **named_inputs)
        for tensor in tensors(result):
            if (labels := self.labels(tensor)) is not None:
                self.channels.fix(labels, OUTPUT)
                self.outputs.append(labels)

    def labels(self, tensor: object) -> Tensor | None:
        """Labels of an activation, of its dimensions, with size 1 where they do not depend on an axis."""
        return self._labels.get(tensor) if isinstance(tensor, Tensor) else None

    def label(self, tensor: Tensor, labels: Tensor) -> None:
        self._labels[tensor] = labels.reshape([1] * (tensor.dim() - labels.dim()) + list(labels.shape))

    def fixed(self, reason: str) -> Tensor:
        """A label ``[1]`` for what keeps its scale."""
        label = self.channels.new()
        self.channels.fix(label, reason)
        return label

    def constant_along(self, labels: Tensor, axes: object) -> Tensor:
        """`labels` with size 1 along these axes, after channels that differ there have been tied."""
        for axis in axes:
            first = labels.narrow(axis, 0, 1)
            self.channels.tie(first, labels)
            labels = first
        return labels

    def parameter_name(self, tensor: object) -> str | None:
        return self._names.get(id(tensor))

    def used_otherwise(self, name: str, what: str) -> None:
        """A parameter is used by something that is no layer, so that it must keep its scale."""
        self._other_uses.setdefault(name, what)

    def layer(
        self, weight: str, bias: str | None, out: int, columns: Tensor | None, measured: Tensor | None, **kind: object
    ) -> Tensor:
        """Labels ``[out]`` of what the layer with this weight and bias makes, once its inputs' are tied to those of its
        other uses; `kind` as in `Layer`."""
        name = weight.removesuffix(".weight")
        use = self.uses.get(name)
        if use is None:
            layer = Layer(name, self._place(weight), **kind)
            use = self.uses[name] = Use(layer, self.channels.new(out), columns, measured)
        elif kind != {key: getattr(use.layer, key) for key in kind}:
            raise ValueError(f"{weight} is used by two kinds of layers")  # which `operations.follow` takes for unknown
        if bias is not None:
            if self._owners.setdefault(bias, name) != name:
                self.used_otherwise(bias, name)
                self.channels.fix(use.rows, f"its bias is that of {self._owners[bias]}")
            elif (place := self._place(bias)) not in use.layer.biases:
                use.layer.biases.append(place)
        for ours, theirs in ((use.columns, columns), (use.measured, measured)):
            if ours is not None and theirs is not None:
                self.channels.tie(ours, theirs)
        return use.rows

    def unused(self) -> list[str]:
        """Modules with parameters of which none was used."""
        modules: dict[str, bool] = {}
        for name in self._names.values():
            module = name.rpartition(".")[0] or name
            modules[module] = modules.get(module, False) or name in self._seen
        return [module for module, used in modules.items() if not used]

    def where(self) -> str:
        """The innermost module that runs, as `` (name)``; nothing for the model itself."""
        return f" ({self._where[-1]})" if self._where and self._where[-1] else ""

    def fix_what_must_stay(self) -> None:
        """Fix layers that share their numbers with something else, or shall not be changed."""
        overlapping = overlaps(self.model)
        for use in self.uses.values():
            for place in (use.layer.weight, *use.layer.biases):
                parameter = place[0]._parameters.get(place[1])
                name = self._names.get(id(parameter))
                if name is None:
                    self._fix(use, f"the {place[1]} of {use.layer.name} is replaced as the model runs")
                elif name in self._other_uses:
                    self._fix(use, f"{name} is used by {self._other_uses[name]} too")
                elif name in overlapping:
                    self._fix(use, f"{name} shares its memory with {overlapping[name]}")
                elif not parameter.requires_grad:
                    self._fix(use, f"{name} is frozen")
                elif type(parameter) is not nn.Parameter or not parameter.dtype.is_floating_point:
                    self._fix(use, f"{name} is no plain floating-point parameter")

    def _fix(self, use: Use, reason: str) -> None:
        for labels in (use.rows, use.columns):
            if labels is not None:
                self.channels.fix(labels, reason)

    def is_followed(self, tensor: Tensor) -> bool:
        return tensor in self._labels or id(tensor) in self._names

    def _place(self, name: str) -> tuple[nn.Module, str]:
        module, _, attribute = name.rpartition(".")
        return self.model.get_submodule(module), attribute

    @contextmanager
    def _module_names(self) -> Iterator[None]:
        def leave(*_: object) -> None:
            self._where.pop()

        handles = []
        try:
            for name, module in self.model.named_modules():
                if not isinstance(module, torch.jit.ScriptModule):  # which takes no such hooks
                    handles.append(module.register_forward_pre_hook(lambda *_, name=name: self._where.append(name)))
                    handles.append(module.register_forward_hook(leave, always_call=True))
            yield
        finally:
            for handle in handles:
                handle.remove()


def record(
    model: nn.Module, runs: Sequence[tuple[tuple, Mapping[str, object]]], batch_norm: BatchNormRescaling | None
) -> tuple[Recorder, str | None]:
    """Run `model` in eval mode and in training mode on each of `runs`, arguments and named arguments, for each may use
    layers that the others do not.

    The model's buffers and modes and the generators are left as they are. Returns the recorder, and why the run in
    training mode failed, where it did. Raises ValueError where the one in eval mode does.
    """
    for name, parameter in model.named_parameters():
        if nn.parameter.is_lazy(parameter):
            raise ValueError(f"{name} has no shape yet; call the model once before ENorm is made")
    recorder, failure = Recorder(model, batch_norm), None
    devices = sorted({tensor.device.index for tensor in model.parameters() if tensor.is_cuda})
    for training, (inputs, named_inputs) in product((False, True), runs):
        copies = map_tensors(Tensor.clone, (inputs, dict(named_inputs)))
        with buffers_kept(model), in_mode(model, training), torch.random.fork_rng(devices=devices):
            try:
                recorder.run(*copies)
            except Exception as error:
                failure = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"
                if not training:
                    raise ValueError(f"the model cannot be run on the example ({failure})") from error
    recorder.fix_what_must_stay()
    return recorder, failure


def _uncompiled() -> AbstractContextManager:
    """Parts of a model that ``torch.compile`` has compiled run as they are written."""
    return torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext()


def overlaps(model: nn.Module) -> dict[str, str]:
    """For each parameter that shares memory with another one or a buffer, the other's name."""
    spans = {
        name: place
        for name, tensor in (*model.named_parameters(), *model.named_buffers())
        if (place := span(tensor)) is not None
    }
    found: dict[str, str] = {}
    reach: tuple | None = None  # of those that begin before: device, last byte, name
    for name, (device, first, last) in sorted(spans.items(), key=lambda item: (str(item[1][0]), *item[1][1:])):
        if reach is not None and reach[0] == device and first <= reach[1]:
            found[name] = reach[2]
            found.setdefault(reach[2], name)
        if reach is None or reach[0] != device or last > reach[1]:
            reach = (device, last, name)
    return found
