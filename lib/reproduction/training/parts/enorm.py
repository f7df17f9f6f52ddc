"""The cycle of ENorm that follows an SGD step: Algorithm 1, or as a study varies it."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from equinorm.algorithm import equi_normalize_, norms, unit_scales
from reproduction.protocol.parameters import Parameters


def after_step(parameters: Parameters) -> Callable[[nn.Module], None]:
    """A function that rescales the weights of all runs of a network in place."""
    c = parameters.c
    layers = None if parameters.balance_last_pair else -1

    @torch.no_grad()
    def balance_(network: nn.Module) -> None:
        weights = network.weights[:layers]
        biases = list(network.biases[:layers]) if network.biases and parameters.balance_biases else None
        cycle_(network, weights, biases)

    def algorithm_1_(network: nn.Module, weights: Sequence[Tensor], biases: Sequence[Tensor] | None) -> None:
        equi_normalize_(weights, biases, c=c, cycles=parameters.cycles)

    def simultaneous_(network: nn.Module, weights: Sequence[Tensor], biases: Sequence[Tensor] | None) -> None:
        _simultaneous_cycle_(weights, biases, c)

    def gamma_beta_(network: nn.Module, weights: Sequence[Tensor], biases: Sequence[Tensor] | None) -> None:
        _batch_norm_cycle_(weights, [(layer.gamma, layer.beta) for layer in network.between], c)

    cycle_ = algorithm_1_
    if parameters.batch_norm_rescaling == "gamma_beta":
        cycle_ = gamma_beta_
    elif parameters.norms == "simultaneous":
        cycle_ = simultaneous_
    return balance_


def _simultaneous_cycle_(weights: Sequence[Tensor], biases: Sequence[Tensor] | None, c: float) -> None:
    """One cycle whose d_k are all taken from the weights as they were before it."""
    scales = [_scale(left, right, c) for left, right in pairwise(weights)]
    for k, d in enumerate(scales):
        weights[k].mul_(d.unsqueeze(-1))
        weights[k + 1].div_(d.unsqueeze(-2))
        if biases is not None:
            biases[k].mul_(d)


def _batch_norm_cycle_(weights: Sequence[Tensor], affine: Sequence[tuple[Tensor, Tensor]], c: float) -> None:
    """One cycle that multiplies gamma and beta ``[..., out]`` by d_k where Algorithm 1 multiplies the rows of W_k.

    BatchNorm's output is gamma and beta times as large, and a column of W_{k+1} as much smaller: the function stays as
    it is. R_i / L_i goes to c over several cycles, for only R_i changes.
    """
    for (left, right), (gamma, beta) in zip(pairwise(weights), affine, strict=False):
        d = _scale(left, right, c)
        gamma.mul_(d)
        beta.mul_(d)
        right.div_(d.unsqueeze(-2))


def _scale(left: Tensor, right: Tensor, c: float) -> Tensor:
    """d ``[..., out]`` from the weights as they are."""
    return unit_scales(norms(left, -1), norms(right, -2), c).to(left.dtype)
