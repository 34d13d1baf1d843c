"""Models of PyTorch, and the adapters to captum and Quantus against the real packages."""

import attriburn
import numpy
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402


class Net(nn.Module):
    """A small convolutional network with a batch normalization and a dropout, which differ in training."""

    def __init__(self, channels=3, classes=5):
        super().__init__()
        torch.manual_seed(1)
        self.features = nn.Sequential(
            nn.Conv2d(channels, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5))
        self.head = nn.Linear(8, classes)

    def forward(self, x):
        return self.head(self.features(x))


@pytest.fixture(scope="module")
def net():
    return Net().eval()


@pytest.fixture(scope="module")
def batch():
    return torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(2))


def gradients(net, batch, targets):
    x = batch.clone().requires_grad_()
    scores = net(x)
    scores[torch.arange(len(x)), torch.as_tensor(targets)].sum().backward()
    return x.grad.numpy()


def close(found, expected, tolerance=1e-5):
    assert numpy.abs(found - expected).max() <= tolerance * numpy.abs(expected).max()


@pytest.mark.parametrize("with_batch", [True, False])
def test_exported_model_gives_the_scores_and_gradients_of_the_module(net, batch, with_batch):
    net.train()
    model = attriburn.from_torch(net, batch if with_batch else batch[0], device="cpu")
    assert net.training and net.features[1].training, "the mode of the module is restored"
    net.eval()
    assert (model.input_shape, model.classes) == ([3, 16, 16], 5)
    expected = net(batch).detach().numpy()
    for x, scores in zip(batch, expected):
        numpy.testing.assert_allclose(model.predict(x).logits, scores, atol=1e-5)
    targets = [0, 3, 4]
    maps = model.explain_all(list(batch), targets, attriburn.gradient())
    close(numpy.stack([map.values for map in maps]), gradients(net, batch, targets))


def test_module_without_a_batch_axis_is_refused(batch):
    with pytest.raises(attriburn.Error, match=r"scores \[n, classes\]"):
        attriburn.from_torch(nn.Conv2d(2, 2, 1), batch)


def test_captum_adapter_is_an_attribution_of_captum(net, batch):
    captum = pytest.importorskip("captum.attr")
    from attriburn.captum import PlanAttribution

    targets = torch.tensor([1, 0, 2])
    ours = PlanAttribution(net, attriburn.gradient(), device="cpu")
    assert isinstance(ours, captum.Attribution) and not ours.multiplies_by_inputs
    expected = captum.Saliency(net).attribute(batch, target=targets, abs=False)
    found = ours.attribute(batch, target=targets)
    assert found.shape == batch.shape and found.dtype == batch.dtype
    close(found.numpy(), expected.numpy())
    # One target for all, and a tuple of inputs, as captum takes them.
    (of_tuple,) = ours.attribute((batch,), target=2)
    close(of_tuple.numpy(), captum.Saliency(net).attribute(batch, target=2, abs=False).numpy())

    plan = attriburn.integrated_gradients("zero", steps=50)
    integrated = PlanAttribution(net, plan, device="cpu")
    assert integrated.multiplies_by_inputs
    expected = captum.IntegratedGradients(net).attribute(batch, target=targets, n_steps=50)
    close(integrated.attribute(batch, target=targets).numpy(), expected.numpy(), 1e-3)

    # Noise differs, so means agree within their standard errors.
    smooth = PlanAttribution(net, attriburn.smoothgrad(sigma=0.3, samples=4000), device="cpu")
    found = smooth.attribute(batch[:1], target=1).numpy()
    torch.manual_seed(0)
    tunnel = captum.NoiseTunnel(captum.Saliency(net))
    expected = tunnel.attribute(
        batch[:1], target=1, abs=False, nt_type="smoothgrad", nt_samples=4000, stdevs=0.3, nt_samples_batch_size=500
    )
    close(found, expected.numpy(), 0.1)
    with pytest.raises(ValueError, match="give a target"):
        ours.attribute(batch)


def test_captum_adapter_follows_changed_parameters(batch):
    pytest.importorskip("captum.attr")
    from attriburn.captum import PlanAttribution

    net = Net().eval()
    ours = PlanAttribution(net, attriburn.gradient(), device="cpu")
    before = ours.attribute(batch, target=1)
    with torch.no_grad():
        net.head.weight.mul_(-2)
    close(ours.attribute(batch, target=1).numpy(), -2 * before.numpy())


def test_captum_metrics_take_the_adapter(net, batch):
    metrics = pytest.importorskip("captum.metrics")
    from attriburn.captum import PlanAttribution

    ours = PlanAttribution(net, attriburn.gradient(), device="cpu")

    def explain(inputs, target):
        return ours.attribute(inputs, target)

    sensitivity = metrics.sensitivity_max(explain, batch, target=1, n_perturb_samples=2)
    assert sensitivity.shape == (3,) and torch.isfinite(sensitivity).all()


def test_quantus_takes_the_adapter(net, batch):
    quantus = pytest.importorskip("quantus")
    import attriburn.quantus

    x, y = batch.numpy(), numpy.array([1, 0, 2])
    keywords = {"plan": attriburn.gradient(), "options": {"device": "cpu"}}
    close(attriburn.quantus.explain(net, x, y, **keywords), gradients(net, batch, y))
    metric = quantus.MaxSensitivity(nr_samples=2, disable_warnings=True, display_progressbar=False)
    scores = metric(
        model=net, x_batch=x, y_batch=y, a_batch=None, device="cpu",
        explain_func=attriburn.quantus.explain, explain_func_kwargs=keywords,
    )
    assert len(scores) == 3 and numpy.isfinite(scores).all()


def test_quantus_randomization_changes_the_maps(net, batch):
    """A test that randomizes the parameters must see the maps of the randomized module."""
    pytest.importorskip("quantus")
    import attriburn.quantus

    x, y = batch.numpy(), numpy.array([1, 0, 2])
    keywords = {"plan": attriburn.gradient(), "options": {"device": "cpu"}}
    before = attriburn.quantus.explain(net, x, y, **keywords)
    other = Net().eval()
    with torch.no_grad():
        other.features[0].weight.normal_()
    after = attriburn.quantus.explain(other, x, y, **keywords)
    close(after, gradients(other, batch, y))
    assert numpy.abs(after - before).max() > 0.1 * numpy.abs(before).max()


def test_adapters_explain_the_outputs_of_a_module_as_captum_does(net, batch):
    """Also behind a softmax, and behind the sigmoid of a single output."""
    captum = pytest.importorskip("captum.attr")
    import attriburn.quantus
    from attriburn.captum import PlanAttribution

    softmax = nn.Sequential(net, nn.Softmax(-1)).eval()
    sigmoid = nn.Sequential(Net(classes=1), nn.Sigmoid()).eval()
    single = Net(classes=1).eval()
    for module, targets in (softmax, [None, 3]), (sigmoid, [None, 0]), (single, [None, 0]):
        ours = PlanAttribution(module, attriburn.gradient(), device="cpu")
        for target in targets:
            if module is softmax and target is None:
                continue
            expected = captum.Saliency(module).attribute(batch, target=target, abs=False).numpy()
            close(ours.attribute(batch, target=target).numpy(), expected, 1e-4)
            numbers = [target or 0] * len(batch)
            keywords = {"plan": attriburn.gradient(), "options": {"device": "cpu"}}
            close(attriburn.quantus.explain(module, batch.numpy(), numbers, **keywords), expected, 1e-4)


class Scaled(nn.Module):
    """A module whose outputs depend on an attribute and on a buffer that is not saved."""

    def __init__(self, net, factor):
        super().__init__()
        self.net, self.factor = net, factor
        self.register_buffer("mask", torch.ones(5), persistent=False)

    def forward(self, x):
        return self.net(x) * self.factor * self.mask


def test_adapters_follow_attributes_and_other_modules(net, batch):
    pytest.importorskip("captum.attr")
    import attriburn.quantus
    from attriburn.captum import PlanAttribution

    y = [1] * len(batch)
    keywords = {"plan": attriburn.gradient(), "options": {"device": "cpu"}}
    first = attriburn.quantus.explain(Scaled(net, 1.0), batch.numpy(), y, **keywords)
    close(attriburn.quantus.explain(Scaled(net, -2.0), batch.numpy(), y, **keywords), -2 * first)
    module = Scaled(net, 1.0)
    ours = PlanAttribution(module, attriburn.gradient(), device="cpu")
    ours.attribute(batch, target=1)
    module.factor = -3.0
    close(ours.attribute(batch, target=1).numpy(), -3 * first)
    module.mask.mul_(0.5)
    close(ours.attribute(batch, target=1).numpy(), -1.5 * first)


def test_examples_take_the_type_of_the_module(net, batch):
    model = attriburn.from_torch(net, batch.double().numpy(), device="cpu")
    assert model.input_shape == [3, 16, 16]
    square = attriburn.from_torch(nn.Linear(4, 4), torch.zeros(4), device="cpu")
    assert (square.input_shape, square.classes) == ([4], 4)
