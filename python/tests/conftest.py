"""What the tests share: the built-in model and picture."""

import attriburn
import pytest


@pytest.fixture(scope="session")
def model():
    return attriburn.Model(attriburn.example_model(), device="cpu")


@pytest.fixture(scope="session")
def input(model):
    return attriburn.Preprocess("imagenet", model.input_shape).input(attriburn.example_picture())
