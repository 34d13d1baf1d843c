"""attriburn behind the interface of Quantus.

One argument of a metric changes::

    scores = metric(model=model, x_batch=x, y_batch=y,
                    explain_func=attriburn.quantus.explain,
                    explain_func_kwargs={"plan": attriburn.smoothgrad(sigma=0.2)})

Needs the package ``quantus`` and those of :func:`attriburn.from_torch`.
"""

import numpy
import torch

import attriburn
from attriburn._torch import Exported

__all__ = ["explain"]

_EXPORTED = {}


def explain(model, inputs, targets, *, plan=None, domain=None, options=None, **_) -> numpy.ndarray:
    """Returns the map of each input, float32 ``[n, ...]``, as Quantus expects of an ``explain_func``.

    ``model``: a module of PyTorch, or an :class:`attriburn.Model`. A module is exported to ONNX when it is first
    explained, and again when its parameters or outputs change, as in a test that randomizes them; its own outputs are
    explained, those behind a softmax or sigmoid, if it ends in one. ``plan``: the method, AdaptGrad if it is left
    out. ``domain``: the range of valid values. ``options``: those of :class:`attriburn.Model`. Other keywords, which
    Quantus passes to every function, have no effect.
    """
    plan = attriburn.adaptgrad() if plan is None else plan
    options = dict(options or {})
    options.setdefault("parameters", plan.needs_parameters)
    targets = [int(target) for target in numpy.asarray(targets).reshape(-1)]
    if not isinstance(model, attriburn.Model):
        key = tuple(sorted((name, repr(value)) for name, value in options.items()))
        exported = _EXPORTED.setdefault(key, Exported(**options))
        device = next((tensor.device for tensor in model.parameters()), "cpu")
        batch = torch.as_tensor(numpy.asarray(inputs), dtype=torch.float32, device=device)
        maps = exported.explain(model, batch, lambda _: targets, plan, domain)
    else:
        maps = model.explain_all(list(numpy.asarray(inputs, numpy.float32)), targets, plan, domain=domain)
    return numpy.stack([map.values for map in maps])
