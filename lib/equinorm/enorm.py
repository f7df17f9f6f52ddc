"""ENorm in any training loop: which layers of a model are balanced, and what goes along with their weights."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.autograd.graph import increment_version

from equinorm import chain, table
from equinorm.algorithm import DTYPES, check_c, check_numbers, checked_biases, equi_normalize_
from equinorm.function_change import relative_change, said_of_change
from equinorm.graph import BatchNormRescaling, record
from equinorm.groups import Group, chain_groups, cycles, plain_chain, recorded_groups
from equinorm.layers import Layer, Scaled
from equinorm.optimizers import check_optimizer, state_to_scale

Asymmetry = float | Sequence[float] | Mapping[str, float] | Callable[[int], float]
_EXACT, _SIXTEEN_BITS = 1e-3, 3e-2  # powers of two round nothing, but for what 16 bits have no exponent for


class ENorm:
    """ENorm for anyone's model, in two lines of any training loop.

    ::

        enorm = ENorm(model, c=1.2, optimizer=optimizer, example=images)   # once
        optimizer.step(); enorm.step()                                     # after every step
        print(enorm)                                                       # what is balanced, and what is not and why

    Arguments:

    - model: what is between its layers decides which are balanced; see `example`.
    - c: ENorm moves R / L to c, where L is the norm of the weights that make a channel, R of those that take it. A
      number; one number for each balanced line of the table, in a list or by the name of its first maker; or a function
      of the line's number 1, 2, ... Numbers may be NumPy's or PyTorch's.
    - norm, cycles: see :func:`equi_normalize_`.
    - optimizer: its means of gradients are rescaled along with the weights; for the kinds, see `optimizers`.
    - example: what the model is called with, a tensor, a tuple of arguments or a dict of them by name. The model is run
      on it, in eval mode and in training mode, to see what makes each activation, what it passes through, and what
      takes it (`graph`). Channels that are tied, by residual connections say, are balanced together; what cannot be
      balanced without changing the function of the model is left alone, and `print` says why. That the function stays
      is then tested on the example.
      What the example does not use is not seen: let it take every path and head, and at least two steps of every loop.
      Layers that are not used are warned of.
      Without an example, the ``nn.Linear`` modules in the order of ``model.modules()`` are taken as one chain, nothing
      else is balanced, and what `forward` does between them is not seen: measure it with `check`.
    - examples: further ones, for heads or optional arguments that one call cannot have all of.
    - every: 3, say, balances at every third call of `step`.
    - batch_norm: what to do where BatchNorm follows a layer. None: leave the channels alone. "gamma_beta": multiply
      gamma and beta instead of the row, which keeps the function. "row": as the paper does, which changes it: in
      training BatchNorm undoes what happens to the row, and only the columns of the next layer shrink or grow.
    - norms: "sequential" as in Algorithm 1, or "simultaneous": all taken before the first is rescaled.
    - balance_last_pair: False leaves alone the channels that the output layer takes, as the authors' code does.
    - strict: raise ValueError where any hidden activation is left alone, or a layer is not used on the example.

    Everything is rescaled in place, so that views of parameters, compiled graphs (``torch.compile``), the replicas of
    ``DataParallel`` and the buckets of ``DistributedDataParallel`` stay right. Under the latter each process rescales
    its own copy; equal weights on equal devices become equal weights. Gradients are not rescaled: call `step` after
    ``optimizer.step()`` and before the next backward pass. Sharded parameters (FSDP) are left alone.

    Raises ValueError, with the model untouched, for a model that fails on the example, one of which nothing can be
    balanced, arguments out of range, an optimizer of another kind or over other parameters; without an example also in
    the cases of :func:`chain.linear_chain`, and TypeError for weights that are not float64, float32, bfloat16 or
    float16, or a model that is no ``nn.Module``. A model that does things that cannot be seen is found by the test.
    """

    def __init__(
        self,
        model: nn.Module,
        c: Asymmetry = 1.2,
        norm: float = 2,
        cycles: int = 1,
        optimizer: torch.optim.Optimizer | None = None,
        *,
        example: object = None,
        examples: Sequence[object] = (),
        every: int = 1,
        batch_norm: BatchNormRescaling | None = None,
        norms: Literal["sequential", "simultaneous"] = "sequential",
        balance_last_pair: bool = True,
        strict: bool = False,
    ) -> None:
        self.model, self.norm, self.cycles, self.optimizer = model, norm, cycles, optimizer
        self.every, self.batch_norm, self.norms = every, batch_norm, norms
        self._calls = 0
        self._check_arguments()
        runs = _runs(example, examples)
        if batch_norm is not None and not runs:
            raise ValueError(f"batch_norm = {batch_norm!r} needs an example to see where BatchNorm is")
        self.unused: list[str] = []
        self.groups, self.seen_by = self._from_examples(runs) if runs else self._from_order()
        if not balance_last_pair:
            self.groups = [_without_last(group) for group in self.groups]
        self._balanced = [group for group in self.groups if group.reason is None]
        if not self._balanced:
            raise ValueError(f"no hidden activation of this model can be balanced{_reasons(self.groups)}")
        if strict and len(self._balanced) < len(self.groups):
            raise ValueError(f"not all hidden activations can be balanced{_reasons(self.groups)}")
        if strict and self.unused:
            raise ValueError(self._said_of_unused())
        self._modules = self._modules_of_layers()
        self.c = c
        if optimizer is not None:
            check_optimizer(optimizer, dict(self._rescaled()))
        self._test(runs)
        if self.unused:
            warnings.warn(self._said_of_unused(), stacklevel=2)

    def __str__(self) -> str:
        c = f"c = {self.c}" if isinstance(self.c, (int, float)) else "c of its own for each"
        unused = f"\nnot used on the example: {', '.join(self.unused)}" if self.unused else ""
        return (
            f"ENorm balances {len(self._balanced)} of {len(self.groups)} hidden activations, {c}, norm = {self.norm}; "
            f"layers seen by {self.seen_by}\n{table.table(self.groups)}{unused}"
        )

    __repr__ = __str__

    @property
    def c(self) -> Asymmetry:
        """As it was given. Set it anew for a c that changes as training goes on; errors as in the beginning."""
        return self._c

    @c.setter
    def c(self, c: Asymmetry) -> None:
        for group, its_c in zip(self._balanced, self._asymmetries(c), strict=True):
            group.c = its_c
        self._c, self._chain = c, self._plain_chain()

    @torch.no_grad()
    def step(self) -> None:
        """Rescale weights and biases, and what the optimizer keeps of their gradients, in place.

        Raises ValueError where a layer was replaced since ENorm was made, or has a parameter more or less.
        """
        self._calls += 1
        if self._calls % self.every:
            return
        self._check_modules()
        if self.optimizer is not None:
            for _, parameter in self._rescaled():
                list(state_to_scale(self.optimizer, parameter))  # before anything is changed
        for scaled in self._rescale():
            weight, biases = scaled.layer.parameters()
            increment_version([weight, *biases])  # autograd does not see what is written by `.data`
            if self.optimizer is not None:
                for buffer, power in state_to_scale(self.optimizer, weight):
                    scaled.scale_like_weight_(buffer, power)
                for bias in biases:
                    for buffer, power in state_to_scale(self.optimizer, bias):
                        scaled.scale_like_bias_(buffer, power)

    def check(self, *inputs: object, **named_inputs: object) -> float:
        """By how much a cycle now would change ``model(*inputs)`` in eval mode: ‖after - before‖ / ‖before‖.

        The model, its mode and the optimizer are left exactly as they are. Call it before training, on inputs like
        those it will get: near ENorm's fixed point a cycle changes little, whatever the model does with its layers, and
        what it does with other inputs is not seen.

        Rounding gives about 1e-6 in float32 (5e-7 for 3 layers, 2e-6 for 40), 1e-14 in float64, and 1e-2 where products
        are taken in bfloat16. What is a hundred times as much is no rounding: tanh or GELU in `forward` gives about 0.1
        to 0.2, attention by hand 0.1, a residual connection 1 and more. With BatchNorm's rows rescaled it is large too
        (1.8 with two of them), since in eval mode BN's running statistics are those of before the step.

        Raises ValueError where the model returns no floating-point numbers, and where `step` does.
        """
        self._check_modules()
        return relative_change(self.model, self._rescale, self._values(), inputs, named_inputs)

    def state_dict(self) -> dict[str, int]:
        """For ``every`` > 1: how often `step` was called. All else is in the model and the optimizer."""
        return {"calls": self._calls}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        self._calls = state["calls"]

    def _check_arguments(self) -> None:
        if not isinstance(self.model, nn.Module):
            raise TypeError(f"model is of type {type(self.model).__name__}; allowed is a torch.nn.Module")
        check_numbers(1.0, self.norm, self.cycles)
        if isinstance(self.every, bool) or not isinstance(self.every, int) or self.every < 1:
            raise ValueError(f"every is {self.every!r}; allowed are whole numbers from 1")
        if self.batch_norm not in (None, "row", "gamma_beta"):
            raise ValueError(f"batch_norm is {self.batch_norm!r}; allowed are None, 'row' and 'gamma_beta'")
        if self.norms not in ("sequential", "simultaneous"):
            raise ValueError(f"norms is {self.norms!r}; allowed are 'sequential' and 'simultaneous'")

    def _from_order(self) -> tuple[list[Group], str]:
        layers = chain.linear_chain(self.model)
        weights = [layer.weight for layer in layers.values()]
        biases = [layer.bias for layer in layers.values()]
        checked_biases(weights, biases, names=list(layers), dtypes=(*DTYPES, torch.bfloat16, torch.float16))
        if doubts := chain.doubts(self.model, layers):
            warnings.warn(
                f"{'; '.join(doubts)}: ENorm may change what this model computes; it does not where only functions "
                "with f(a x) = a f(x) for a > 0 are, such as ReLU. `check` measures by how much",
                stacklevel=3,
            )
        return chain_groups(layers), "the order of the model's nn.Linear modules alone (no example was given)"

    def _from_examples(self, runs: Sequence[tuple[tuple, dict]]) -> tuple[list[Group], str]:
        recorder, failure = record(_inner(self.model), runs, self.batch_norm)
        self.unused = recorder.unused()
        modes = "eval mode and training mode" if failure is None else f"eval mode alone (in training mode: {failure})"
        examples = "the example" if len(runs) == 1 else f"{len(runs)} examples"
        return recorded_groups(recorder), f"running the model on {examples} in {modes}"

    def _said_of_unused(self) -> str:
        more = f" and {len(self.unused) - 3} more" if len(self.unused) > 3 else ""
        are, they_take, them = ("are", "they take", "them") if self.unused[1:] else ("is", "it takes", "it")
        return (
            f"ENorm: {', '.join(self.unused[:3])}{more} {are} not used on the example, and where {they_take} "
            "activations of layers that are balanced, outputs change; give an example that uses "
            f"{them}, or several (examples=[...])"
        )

    def _asymmetries(self, c: Asymmetry) -> list[float]:
        """c of each balanced group."""
        count = len(self._balanced)
        if hasattr(c, "tolist"):  # of NumPy or PyTorch
            c = c.tolist()
        if callable(c):
            numbers = [c(k) for k in range(1, count + 1)]
        elif isinstance(c, Mapping):
            makers = [group.makers[0] for group in self._balanced]
            if set(c) != set(makers):
                raise ValueError(f"c has values for {', '.join(c)}; needed is one for each of {', '.join(makers)}")
            numbers = [c[maker] for maker in makers]
        elif isinstance(c, Sequence) and not isinstance(c, str):
            if len(c) != count:
                raise ValueError(f"c has {len(c)} values; needed is one for each of {count} balanced activations")
            numbers = list(c)
        else:
            numbers = [c] * count
        for number in numbers:
            check_c(number)
        return [float(number) for number in numbers]

    def _layers(self) -> list[Layer]:
        """Those that are rescaled, in order."""
        sides = (side for group in self._balanced for side in (*group.rows, *group.columns))
        return list(dict.fromkeys(side.layer for side in sides))

    def _modules_of_layers(self) -> list[tuple[str, nn.Module, set[str]]]:
        """Name, module and names of its parameters, of all that are rescaled or measured."""
        sides = (side for group in self._balanced for side in (*group.rows, *group.columns, *group.measured))
        ours = {module for side in sides for module, _ in (side.layer.weight, *side.layer.biases)}
        named = _inner(self.model).named_modules(remove_duplicate=False)
        return [(name, module, _own_parameters(module)) for name, module in named if module in ours]

    def _check_modules(self) -> None:
        """Raise ValueError where what was seen of the layers is so no more."""
        model = _inner(self.model)
        for name, module, known in self._modules:
            try:
                found = model.get_submodule(name)
                is_there = found is module or _inner(found) is module  # a compiled layer is the same one
            except AttributeError:
                is_there = False
            if not is_there:
                raise ValueError(f"the layer {name} was replaced after ENorm was made; make ENorm anew")
            own = _own_parameters(module)
            if own != known and known <= set(module._parameters):  # else they are computed, which `Layer` says
                raise ValueError(
                    f"the layer {name} had {', '.join(sorted(known))} when ENorm was made, and now has "
                    f"{', '.join(sorted(own)) or 'nothing'}; make ENorm anew"
                )

    def _rescaled(self) -> Iterator[tuple[str, Tensor]]:
        """Names and parameters that a step rescales."""
        for layer in self._layers():
            weight, biases = layer.parameters()
            yield f"the weight of {layer.name}", weight
            for bias in biases:
                yield f"the bias of {layer.name}", bias

    def _values(self) -> list[Tensor]:
        return [parameter.data for _, parameter in self._rescaled()]

    def _plain_chain(self) -> list[Layer] | None:
        """The linear layers, where `equi_normalize_` can balance them, which is faster, if `_is_fast` holds too."""
        layers = plain_chain(self._balanced)
        if layers is None or self.norms == "simultaneous":
            return None
        if any(len(layer.biases) > 1 for layer in layers):  # one weight used with several; the algorithm takes one each
            return None
        return layers

    @torch.no_grad()
    def _rescale(self) -> list[Scaled]:
        """Rescale weights and biases, by ``.data``, so that `check` may be called between forward and backward."""
        if self._chain is None or not _is_fast(self._chain):
            layers = cycles(self._balanced, self.norm, self.cycles, self.norms == "simultaneous")
            changed = [scaled for scaled in layers.values() if scaled.is_changed]
            for scaled in changed:
                scaled.write()
            return changed
        layers = [Scaled(layer, self.norm) for layer in self._chain]
        totals = equi_normalize_(
            [scaled.weight for scaled in layers],
            [scaled.biases[0] if scaled.biases else None for scaled in layers[:-1]] + [None],
            c=self._balanced[0].c,
            norm=self.norm,
            cycles=self.cycles,
        )
        for left, right, d in zip(layers, layers[1:], totals, strict=False):
            left.rows, right.columns = d, d
        return layers

    def _test(self, runs: Sequence[tuple[tuple, dict]]) -> None:
        """Rescale all that is to be balanced at random, and raise ValueError where that changes the model's output."""
        values, generator = self._values(), torch.Generator().manual_seed(0)
        if not runs or any(value.is_meta for value in values):
            return

        @torch.no_grad()
        def rescale() -> None:
            layers = {layer: Scaled(layer, self.norm) for layer in self._layers()}
            for group in self._balanced:
                if not group.changes_function:
                    d = 2.0 ** torch.randint(-1, 2, (group.count,), generator=generator)
                    group.multiply(layers, d)
            for scaled in layers.values():
                scaled.write()

        for name, parameter in self._rescaled():
            if not parameter.isfinite().all():
                raise ValueError(f"{name} holds NaN or infinity, so that it cannot be balanced")
        allowed = _SIXTEEN_BITS if any(value.dtype.itemsize == 2 for value in values) else _EXACT
        for run in runs:
            change = relative_change(self.model, rescale, values, *run)
            if not change <= allowed:
                alone = relative_change(self.model, lambda: None, values, *run)
                raise ValueError(said_of_change(change, alone, allowed))


def _is_fast(layers: Sequence[Layer]) -> bool:
    """Whether `equi_normalize_` takes the weights as they are now: a model may be cast or moved as training goes on."""
    weights = [layer.parameters()[0] for layer in layers]
    fits = all(weight.dim() == 2 and weight.dtype in DTYPES for weight in weights)
    on_one_device = len({weight.device for weight in weights}) == 1
    return fits and on_one_device and weights[0].device.type in ("cpu", "cuda", "meta")


def _own_parameters(module: nn.Module) -> set[str]:
    return {name for name, parameter in module._parameters.items() if parameter is not None}


def _runs(example: object, examples: Sequence[object]) -> list[tuple[tuple, dict]]:
    """What the model is called with, for each example."""
    if not isinstance(examples, (list, tuple)):
        raise ValueError(f"examples is of type {type(examples).__name__}; allowed is a list, of what `example` may be")
    return [_arguments(one) for one in ([] if example is None else [example]) + list(examples)]


def _arguments(example: object) -> tuple[tuple, dict]:
    """What the model is called with."""
    if isinstance(example, Mapping):
        return (), dict(example)
    return (tuple(example) if isinstance(example, tuple) else (example,)), {}


def _inner(model: nn.Module) -> nn.Module:
    """The model that ``torch.compile``, ``DataParallel`` or ``DistributedDataParallel`` was given."""
    wrappers = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    while isinstance(model, wrappers) or hasattr(model, "_orig_mod"):
        model = model.module if isinstance(model, wrappers) else model._orig_mod
    return model


def _without_last(group: Group) -> Group:
    if not group.is_last or group.reason is not None:
        return group
    return replace(group, reason="the output layer takes it (balance_last_pair=False)")


def _reasons(groups: Sequence[Group]) -> str:
    """The first few that are left alone."""
    left = [f"{table.name(group)} ({group.reason})" for group in groups if group.reason is not None]
    more = f" and {len(left) - 3} more" if len(left) > 3 else ""
    return f": {'; '.join(left[:3])}{more}" if left else ": no activation goes from one layer to another"
