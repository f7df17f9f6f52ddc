"""ENorm in torchvision's models: what its two lines cost beside a step of training."""

import torch
from torch.nn import functional

from benchmarks.table import ratio
from benchmarks.timing import in_blocks
from equinorm import ENorm

NAMES = ["alexnet", "vgg11", "vgg11_bn", "resnet18", "mobilenet_v2", "densenet121", "squeezenet1_1", "googlenet"]
BATCH = 16


def run(asked):
    """ENorm's step over a step of SGD with momentum, 16 images of 224 x 224."""
    from torchvision import models

    images, labels = torch.randn(BATCH, 3, 224, 224), torch.randint(1000, (BATCH,))
    for name in NAMES[3:4] if asked.quick else NAMES:
        model = models.get_model(name, weights=None, **({"init_weights": False} if name == "googlenet" else {}))
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-6, momentum=0.9)
        enorm = ENorm(model, optimizer=optimizer, example=images[:2], batch_norm="gamma_beta")

        def train(model=model, optimizer=optimizer):
            output = model(images)
            outputs = output if isinstance(output, tuple) else [output]  # GoogLeNet's further classifiers
            optimizer.zero_grad()
            sum(functional.cross_entropy(logits, labels) for logits in outputs).backward()
            optimizer.step()

        train()  # the momentum is there
        for threads in asked.threads:
            times = in_blocks({"ENorm": enorm.step, "training": train}, threads, asked.rounds(5), calls=1, discarded=0)
            yield ratio(times, "ENorm", "training", f"{name}, threads: {threads}")
