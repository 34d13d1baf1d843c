"""Plans of common methods. Each is :func:`attriburn.plan` with the name of a method.

Settings that several methods share:

``samples``
    The number of noisy samples of the input (default 50).
``kernel``
    The distribution of the noise: ``gaussian`` (default), ``rect``, ``laplace``, ``sigmoid``, ``poisson`` or ``hyperbolic``.
``seed``
    The seed of the noise (default 0).
``until``
    The relative standard error at which sampling stops.
``estimate``
    ``mean`` (default), ``square`` or ``variance`` of the samples' gradients.
``score``
    What is differentiated: the ``logit`` (default) or the ``probability``.
"""

from attriburn._native import Plan, plan


def gradient(**settings) -> Plan:
    """The gradient of the target's score with respect to the input."""
    return plan("gradient", **settings)


def adaptgrad(**settings) -> Plan:
    """AdaptGrad: the mean gradient under noise whose width follows each value's distance to the domain's bounds.

    ``confidence``: the share of the samples inside the domain (default 0.95).
    """
    return plan("adaptgrad", **settings)


def smoothgrad(**settings) -> Plan:
    """SmoothGrad: the mean gradient under noise of one width.

    ``alpha``: the width as a share of the domain's extent (default 0.2), or ``sigma``: the width itself.
    """
    return plan("smoothgrad", **settings)


def smoothdiff(**settings) -> Plan:
    """SmoothDiff: the gradient through the mean Jacobian of each nonlinear node, under SmoothGrad's noise."""
    return plan("smoothdiff", **settings)


def noisegrad(**settings) -> Plan:
    """NoiseGrad: the mean gradient under noise on the model's parameters.

    ``weight_samples``: the number of draws (default 50); ``weight_alpha``, ``weight_sigma`` or ``weight_confidence``: the
    width; ``freeze``: patterns of the names of parameters without noise.
    """
    return plan("ng", **settings)


def grad_cam(**settings) -> Plan:
    """Grad-CAM at the layer that the model chooses, or at ``layer``."""
    return plan("grad-cam", **settings)


def integrated_gradients(baseline="black", **settings) -> Plan:
    """Integrated Gradients from a baseline: ``black``, ``white``, ``zero``, ``mean``, ``blur`` or an array.

    ``steps``: the number of nodes (default 50); ``quadrature``: their rule, ``gauss-legendre`` by default.
    """
    if isinstance(baseline, str):
        return plan(f"ig-{baseline}", **settings)
    return plan("ig-file", baseline=baseline, **settings)
