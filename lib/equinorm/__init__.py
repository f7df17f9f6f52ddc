"""ENorm (Stock et al., ICLR 2019) and what re-runs its fully connected CIFAR-10 experiments.

In your own training loop::

    enorm = equinorm.ENorm(model, c=1.2, optimizer=optimizer)
    ...
    optimizer.step()
    enorm.step()
"""

from equinorm.enorm import ENorm, equi_normalize_, parameter_groups

__all__ = ["ENorm", "equi_normalize_", "parameter_groups"]
