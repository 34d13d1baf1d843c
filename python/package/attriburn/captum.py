"""attriburn behind the interface of captum.

One line of a script changes::

    from captum.attr import NoiseTunnel, Saliency        # before
    attribution = NoiseTunnel(Saliency(model)).attribute(x, nt_samples=50, stdevs=0.2, target=3)

    from attriburn.captum import PlanAttribution         # after
    attribution = PlanAttribution(model, attriburn.smoothgrad(samples=50, sigma=0.2)).attribute(x, target=3)

As in captum, a module's own outputs are explained: those behind a softmax or sigmoid, if it ends in one. The module is
exported to ONNX when it is first explained, and again when its parameters or outputs change. Needs the package
``captum`` and those of :func:`attriburn.from_torch`.
"""

import torch
from captum.attr import Attribution

import attriburn
from attriburn._torch import Exported

__all__ = ["PlanAttribution"]


class PlanAttribution(Attribution):
    """Attribution by any plan of attriburn.

    ``forward_func`` is a module of PyTorch that maps a batch to scores ``[n, classes]``; ``plan`` the method, AdaptGrad
    if it is left out; ``domain`` the range of valid values as a pair ``(lower, upper)`` of numbers or of sequences with
    one number per channel, which methods such as AdaptGrad need. ``options`` are those of :class:`attriburn.Model`.
    """

    def __init__(self, forward_func, plan=None, *, domain=None, **options):
        if not isinstance(forward_func, torch.nn.Module):
            raise TypeError("forward_func must be a torch.nn.Module, because it is exported to ONNX")
        super().__init__(forward_func)
        self.plan = attriburn.adaptgrad() if plan is None else plan
        self.domain = domain
        options.setdefault("parameters", self.plan.needs_parameters)
        self._exported = Exported(**options)

    @property
    def multiplies_by_inputs(self) -> bool:
        """Whether maps are gradients times inputs, as those of Integrated Gradients."""
        return '"readout":"gradient"' not in self.plan.to_json()

    def attribute(self, inputs, target=None):
        """Returns the map of each input, a tensor in the shape and on the device of ``inputs``.

        ``inputs``: a tensor ``[n, ...]``, or a tuple that holds one. ``target``: a class, a tensor or list with one class
        for each input, or ``None`` for a model with one score. A class activation map has the shape ``[n, 1, height,
        width]``.
        """
        is_tuple = isinstance(inputs, tuple)
        if is_tuple and len(inputs) != 1:
            raise ValueError(f"models with {len(inputs)} inputs are not supported")
        batch = inputs[0] if is_tuple else inputs

        def targets_of(width):
            return self._targets(width, target, len(batch))

        maps = self._exported.explain(self.forward_func, batch, targets_of, self.plan, self.domain)
        attributions = torch.stack([torch.from_numpy(map.values) for map in maps]).to(batch.device, batch.dtype)
        return (attributions,) if is_tuple else attributions

    @staticmethod
    def _targets(width, target, count):
        if target is None:
            if width > 1:
                raise ValueError(f"the module has {width} outputs; give a target")
            return [0] * count
        if isinstance(target, (list, torch.Tensor)) and not (isinstance(target, torch.Tensor) and target.ndim == 0):
            targets = [int(one) for one in target]
            return targets * count if len(targets) == 1 else targets
        return [int(target)] * count
