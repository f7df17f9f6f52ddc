"""What a GPU would do, checked without one: CUDA graphs on stand-ins, and steps on a device that is not the CPU."""

import contextlib
import copy
import warnings

import pytest
import torch
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from equinorm import algorithm, equi_normalize_
from reproduction.data import datasets
from reproduction.protocol.parameters import check_parameters
from reproduction.protocol.variants import VARIANTS
from reproduction.run import run as run_cell
from reproduction.training import cuda_graphs, devices, loop
from reproduction.training.network import FullyConnected
from reproduction.training.step import step_of

pytestmark = pytest.mark.portable

GIVEN = {"p": 2, "seeds": [0, 1], "epochs": 2, "learning_rate": 0.002, "batch_size": 32, "dataset": "digits"}
CPU, META = torch.device("cpu"), torch.device("meta")
SEEDS = [0, 1]


class Stream:
    def wait_stream(self, other: "Stream") -> None:
        pass


class Graphs:
    """Stands in for CUDA's streams and graphs: what is captured does nothing yet, and each replay does it again."""

    def __init__(self, network: FullyConnected, step, fails: bool = False) -> None:
        self.network, self.step, self.fails = network, step, fails
        self.capturing, self.captures, self.replays, self.device = False, 0, 0, None

    def patch(self, monkeypatch) -> None:
        monkeypatch.setattr(torch.cuda, "device", self.on)
        monkeypatch.setattr(torch.cuda, "Stream", self.stream)
        monkeypatch.setattr(torch.cuda, "current_stream", Stream)
        monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())
        monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: self)
        monkeypatch.setattr(torch.cuda, "graph", self.capture)

    @contextlib.contextmanager
    def on(self, device: torch.device):
        self.device = device
        yield
        self.device = None

    def stream(self) -> Stream:
        assert self.device == CPU, "a stream would be of the first GPU, wherever the batch is"
        return Stream()

    @contextlib.contextmanager
    def capture(self, graph: "Graphs", stream: Stream):
        self.captures += 1
        before = copy.deepcopy(self.network.state_dict())
        self.capturing = True
        try:
            yield
        finally:
            self.capturing = False
            self.network.load_state_dict(before)

    def call(self, batch: torch.Tensor) -> torch.Tensor:
        """`step`; the tensors it had and gave under capture are those of every replay."""
        loss = self.step(batch)
        if self.capturing:
            if self.fails:
                for parameter in self.network.parameters():
                    parameter.grad = torch.full_like(parameter, torch.nan)  # of a backward pass that never ran
                raise RuntimeError("CUDA error: operation not permitted when stream is capturing")
            self.batch, self.loss = batch, loss.fill_(torch.nan)
        return loss

    def replay(self) -> None:
        self.replays += 1
        self.loss.copy_(self.step(self.batch))


def epoch(variant, dataset, run):
    """Losses of the second epoch, made by `run(network, step, batches)`, and the network's state after it."""
    parameters = check_parameters(GIVEN | {"variant": variant})
    data, network = dataset.to(CPU), FullyConnected(parameters)
    first = loop.train_epoch(network, data, parameters, SEEDS, 1)
    assert first.isfinite().all()
    batches = loop.epoch_batches(data, parameters, SEEDS, 2)
    assert batches[-1].shape != batches[0].shape
    losses = run(network, step_of(network, data, parameters, 2), batches)
    return losses, network.state_dict()


def eagerly(network, step, batches):
    return torch.stack([step(batch) for batch in batches], dim=1)


GRAPHED = ["enorm", "enorm_batch_norm", "enorm_bias", "group_norm", "path_sgd", "weight_norm_batch_norm"]


@pytest.mark.parametrize("variant", GRAPHED)
def test_replayed_steps_are_the_eager_ones(variant, small_digits, monkeypatch):
    def replayed(network, step, batches):
        graphs = Graphs(network, step)
        graphs.patch(monkeypatch)
        losses = cuda_graphs.run_steps(graphs.call, batches, network.zero_grad)
        assert graphs.captures == 1
        assert graphs.replays == len(batches) - cuda_graphs._EAGER_STEPS - 1  # the last batch is smaller
        return losses

    losses, state = epoch(variant, small_digits, replayed)
    expected_losses, expected_state = epoch(variant, small_digits, eagerly)
    assert torch.equal(losses, expected_losses)
    for name, tensor in expected_state.items():
        assert torch.equal(state[name], tensor), name


def test_a_graph_that_holds_nothing_is_an_error(small_digits, monkeypatch):
    def empty(network, step, batches):
        graphs = Graphs(network, step)
        graphs.patch(monkeypatch)

        @contextlib.contextmanager
        def captured(*_, **__):
            yield
            warnings.warn("The CUDA Graph is empty. This usually means ...", stacklevel=2)

        monkeypatch.setattr(torch.cuda, "graph", captured)
        with pytest.raises(UserWarning, match="The CUDA Graph is empty"):
            cuda_graphs.run_steps(graphs.call, batches, network.zero_grad)
        return torch.zeros(1)

    epoch("baseline", small_digits, empty)


@pytest.mark.parametrize("variant", ["enorm_bias", "batch_norm"])
def test_where_the_capture_fails_steps_are_made_eagerly_and_a_warning_says_so(variant, small_digits, monkeypatch):
    def failing(network, step, batches):
        graphs = Graphs(network, step, fails=True)
        graphs.patch(monkeypatch)
        with pytest.warns(RuntimeWarning, match="no CUDA graph.*not permitted when stream is capturing"):
            return cuda_graphs.run_steps(graphs.call, batches, network.zero_grad)

    losses, state = epoch(variant, small_digits, failing)
    expected_losses, expected_state = epoch(variant, small_digits, eagerly)
    assert torch.equal(losses, expected_losses)
    assert all(torch.equal(state[name], tensor) for name, tensor in expected_state.items())


def test_an_epoch_shorter_than_a_capture_is_made_eagerly(small_digits, monkeypatch):
    def replayed(network, step, batches):
        graphs = Graphs(network, step)
        graphs.patch(monkeypatch)
        losses = cuda_graphs.run_steps(graphs.call, batches[-2:], network.zero_grad)
        assert graphs.captures == 0
        return losses

    losses, _ = epoch("enorm", small_digits, replayed)
    assert losses.shape == (2, 2)


class StaysOnDevice(TorchDispatchMode):
    """Refuses what waits for the GPU or copies between it and the CPU, which a capture forbids."""

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        tensors = [x for x in pytree.tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        result = operator(*args, **(kwargs or {}))
        tensors += [x for x in pytree.tree_leaves(result) if isinstance(x, torch.Tensor)]
        on_cpu = [tuple(x.shape) for x in tensors if x.device != META]
        assert not on_cpu, f"{operator} has tensors {on_cpu} on the CPU"
        assert "_local_scalar_dense" not in str(operator), f"{operator} waits for the GPU"
        return result


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_step_of_each_variant_never_leaves_the_device(variant, precision, digits):
    parameters = check_parameters(GIVEN | {"variant": variant, "precision": precision})
    data, network = digits.to(META), FullyConnected(parameters).to(META)
    step, batch = step_of(network, data, parameters, 1), torch.zeros(2, 32, dtype=torch.int64, device=META)
    step(batch)  # the first may copy: it is never captured
    with StaysOnDevice():
        losses = step(batch)
    assert losses.shape == (2,)
    assert losses.dtype == torch.float32


@pytest.mark.parametrize("size", [1e-38, 1e-30, 1.0, 1e30, 1e38])
@pytest.mark.parametrize("norm", [1, 2, 3])
def test_a_gpus_norms_are_those_in_float64(size, norm):
    """Beyond about 1e19 and 1e-19, squares leave the range of float32."""
    x = size * torch.randn(2, 300, 50, generator=torch.Generator().manual_seed(0)).clamp(-3, 3)
    x[0, :, 7] = 0
    for dim in (-1, -2):
        exact = torch.linalg.vector_norm(x.double(), ord=norm, dim=dim)
        torch.testing.assert_close(algorithm.scaled_norms(x, dim, norm), exact, rtol=1e-6, atol=0)


def test_a_gpus_norms_of_what_is_not_finite_are_not_finite():
    rows = torch.tensor([[1.0, torch.inf], [1.0, torch.nan], [3.0, 4.0]])
    finite = algorithm.scaled_norms(rows, -1).isfinite()
    assert finite.tolist() == [False, False, True]


def test_a_cycle_with_a_gpus_norms_is_that_of_the_cpu(monkeypatch):
    weights = [layer.detach() for layer in FullyConnected(check_parameters(GIVEN | {"variant": "enorm"})).weights]
    balanced = [weight.clone() for weight in weights]
    equi_normalize_(weights, cycles=3)
    monkeypatch.setattr(algorithm, "cpu_kernels", None)
    monkeypatch.setattr(algorithm, "norms", algorithm.scaled_norms)
    equi_normalize_(balanced, cycles=3)
    for weight, other in zip(weights, balanced, strict=True):
        torch.testing.assert_close(other, weight, rtol=1e-6, atol=0)


@pytest.mark.parametrize("precision", ["bfloat16", "tf32"])
def test_a_gpu_without_such_products_is_told_what_to_take_before_data_are_read(precision, tmp_path, monkeypatch):
    """As Colab's T4 is."""
    monkeypatch.setattr(devices, "resolve_device", lambda name: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")
    monkeypatch.setattr(datasets, "load", lambda name: pytest.fail("the data were read"))
    sentence = f"precision = '{precision}': the Tesla T4 has no such products; take precision = 'float32'"
    with pytest.raises(ValueError, match=sentence):
        run_cell(variant="enorm", p=1, precision=precision, outputs=tmp_path, device="cuda")
