"""Models of PyTorch."""

import hashlib


def from_torch(model, example, **options):
    """Exports a module of PyTorch to ONNX in memory and loads it.

    ``model`` maps a batch ``[n, ...]`` to scores ``[n, classes]``; it is exported for inference, whatever its mode.
    ``example`` is a batch, or one input without the batch axis. ``options`` are those of :class:`attriburn.Model`.
    Needs the packages ``torch``, ``onnx`` and ``onnxscript``.
    """
    import torch

    from attriburn._native import Model

    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        return Model(_exported(torch, model, _batch(torch, model, torch.as_tensor(example).detach())), **options)
    finally:
        for module, mode in modes:
            module.training = mode


def _batch(torch, model, example):
    """Returns the example as a batch: itself or, if the module does not take it, with an axis in front."""
    from attriburn._native import Error

    reasons = []
    for batch in (example, example[None]):
        try:
            with torch.no_grad():
                scores = model(batch)
        except Exception as error:
            reasons.append(error)
            continue
        if isinstance(scores, torch.Tensor) and scores.ndim >= 1 and scores.shape[0] == batch.shape[0]:
            return batch
        shape = tuple(scores.shape) if isinstance(scores, torch.Tensor) else type(scores).__name__
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
    """The latest export of a module: made again when its parameters or the shape of its inputs change."""

    def __init__(self, **options):
        self._options = options
        self._key = self._model = None

    def model(self, module, batch):
        """Returns the model of ``module``, for inputs with the shape of those in ``batch``."""
        key = (_checksum(module), tuple(batch.shape[1:]))
        if key != self._key:
            self._model = from_torch(module, batch[:1], **self._options)
            self._key = key
        return self._model


def _checksum(module) -> bytes:
    checksum = hashlib.blake2b(repr(module).encode())
    for name, tensor in module.state_dict().items():
        checksum.update(name.encode())
        checksum.update(tensor.detach().cpu().contiguous().flatten().view(_bytes()).numpy().data)
    return checksum.digest()


def _bytes():
    import torch

    return torch.uint8
