"""Models of PyTorch."""

import hashlib
import weakref


def from_torch(model, example, **options):
    """Exports a module of PyTorch to ONNX in memory and loads it.

    ``model`` maps a batch ``[n, ...]`` to scores ``[n, classes]``; it is exported for inference, whatever its mode.
    ``example`` is a batch, or one input without the batch axis. ``options`` are those of :class:`attriburn.Model`.
    Needs the packages ``torch``, ``onnx`` and ``onnxscript``.
    """
    return _from_torch(model, example, **options)[0]


def _from_torch(model, example, **options):
    """Returns the loaded model, and the module's outputs for the example."""
    import torch

    from attriburn._native import Model

    own = next((tensor for tensor in model.parameters() if tensor.is_floating_point()), torch.empty(0))
    example = torch.as_tensor(example).detach().to(own.device, own.dtype)
    with _inference(torch, model):
        batch, outputs = _batch(torch, model, example)
        return Model(_exported(torch, model, batch), **options), outputs


class _inference:
    """Puts a module into the mode for inference for a while."""

    def __init__(self, torch, model):
        self._no_grad = torch.no_grad()
        self._modes = [(module, module.training) for module in model.modules()]
        self._model = model

    def __enter__(self):
        self._no_grad.__enter__()
        self._model.eval()

    def __exit__(self, *error):
        for module, mode in self._modes:
            module.training = mode
        self._no_grad.__exit__(*error)


def _batch(torch, model, example):
    """Returns the example as a batch, itself or with an axis in front, and the outputs of the module."""
    from attriburn._native import Error

    reasons = []
    for batch in [example] * (example.ndim > 1) + [example[None]]:
        try:
            outputs = model(batch)
        except Exception as error:
            reasons.append(error)
            continue
        if isinstance(outputs, torch.Tensor) and outputs.ndim >= 1 and outputs.shape[0] == batch.shape[0]:
            return batch, outputs
        shape = tuple(outputs.shape) if isinstance(outputs, torch.Tensor) else type(outputs).__name__
        reasons.append(f"for a batch of shape {tuple(batch.shape)} it gives {shape}")
    raise Error(f"the module does not map a batch of the example to scores [n, classes]: {reasons[0]}")


def _exported(torch, model, batch) -> bytes:
    """Exports the module with a free batch axis."""
    # An axis of size 1 would be taken for a constant.
    batch = torch.cat([batch, batch])[:2]
    program = torch.onnx.export(
        model, (batch,), dynamo=True, dynamic_shapes=({0: torch.export.Dim.DYNAMIC},), verbose=False
    )
    return program.model_proto.SerializeToString()


class Exported:
    """A module as the adapters explain it: its outputs, class by class, whatever it ends in.

    The latest export is kept. It is made again for another module, other parameters or buffers, another shape of
    inputs, or where its outputs are no longer those of the module.
    """

    def __init__(self, **options):
        self._options = options
        self._latest = None

    def explain(self, module, batch, targets_of, plan, domain):
        """Returns the maps of ``batch``. ``targets_of`` maps the number of outputs of ``module`` to those to explain."""
        model, width = self._model(module, batch)
        targets = targets_of(width)
        if model.link is not None and plan.score == "logit":
            # The module's own outputs, not the scores before its softmax or sigmoid.
            plan = plan.with_score("probability")
        if width == 1 and model.classes == 2:
            # One output behind a sigmoid is the second of two classes.
            targets = [target + 1 for target in targets]
        return model.explain_all(list(batch), targets, plan, domain=domain)

    def _model(self, module, batch):
        """Returns the model of ``module`` and the number of its outputs."""
        key = (_checksum(module), tuple(batch.shape[1:]))
        latest = self._latest
        if latest is not None:
            known, known_key, model, width = latest
            if known() is module and known_key == key and _agrees(module, model, width, batch[:1]):
                return model, width
        model, outputs = _from_torch(module, batch[:1], **self._options)
        width = outputs.shape[1] if outputs.ndim > 1 else 1
        self._latest = (weakref.ref(module), key, model, width)
        return model, width


def _agrees(module, model, width, batch) -> bool:
    """Whether an export still has the outputs of the module; its code, or what it reads, may have changed."""
    import numpy
    import torch

    with _inference(torch, module):
        outputs = module(batch).double().cpu().numpy().reshape(-1)
    prediction = model.predict(batch[0])
    found = prediction.logits if model.link is None else prediction.probabilities
    found = numpy.asarray(found, float)[-len(outputs):] if width == 1 else numpy.asarray(found, float)
    scale = max(float(numpy.abs(outputs).max()), 1e-6)
    return found.shape == outputs.shape and bool(numpy.abs(found - outputs).max() <= 1e-3 * scale)


def _checksum(module) -> bytes:
    import torch

    checksum = hashlib.blake2b(repr(module).encode())
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        checksum.update(name.encode())
        bytes = tensor.detach().cpu().contiguous().flatten().view(torch.uint8)
        checksum.update(bytes.numpy().data)
    return checksum.digest()
