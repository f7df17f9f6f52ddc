"""ENorm, equi-normalization of neural networks (Stock et al., ICLR 2019).

In your own training loop::

    enorm = equinorm.ENorm(model, c=1.2, optimizer=optimizer, example=images)
    ...
    optimizer.step()
    enorm.step()
"""

from equinorm.algorithm import equi_normalize_
from equinorm.enorm import ENorm
from equinorm.rates import layer_rate_groups, parameter_groups

__all__ = ["ENorm", "equi_normalize_", "layer_rate_groups", "parameter_groups"]
