"""The example for Ray with four workers on this machine, one of which is killed midway."""

import os
import pathlib
import shutil
import signal
import sys

import attriburn
import numpy
import pytest

ray = pytest.importorskip("ray")
EXAMPLE = pathlib.Path(__file__).parents[2] / "examples" / "ray"
COUNT = 16


def test_nothing_is_lost_when_a_worker_is_killed(tmp_path):
    sys.path.insert(0, str(EXAMPLE))
    import explain_folder

    class Mortal(explain_folder.Explainer):
        """A worker that is killed while it holds its second batch; once among all workers."""

        def __call__(self, batch):
            self.calls = getattr(self, "calls", 0) + 1
            if self.calls == 2:
                try:
                    os.close(os.open(self.out / "killed", os.O_CREAT | os.O_EXCL))
                except FileExistsError:
                    pass
                else:
                    os.kill(os.getpid(), signal.SIGKILL)
            return super().__call__(batch)

    pictures = tmp_path / "pictures"
    pictures.mkdir()
    paths = [pictures / f"{number:02}.png" for number in range(COUNT)]
    for path in paths:
        path.write_bytes(attriburn.example_picture())
    broken = pictures / "broken.png"
    broken.write_bytes(b"no picture")
    plan = attriburn.smoothgrad(samples=2)
    ray.init(
        num_cpus=6, include_dashboard=False, logging_level="error", log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": str(EXAMPLE)}},
    )
    try:
        rows = explain_folder.explain([*paths, broken], tmp_path / "maps", plan=plan, workers=4, worker=Mortal).take_all()
    finally:
        ray.shutdown()
    assert (tmp_path / "maps" / "killed").exists(), "no worker was killed"
    assert sorted(row["path"] for row in rows) == sorted(str(path) for path in [*paths, broken])
    (failure,) = [row for row in rows if row["error"]]
    assert failure["path"] == str(broken) and "broken.png" in failure["error"]
    model = attriburn.Model(attriburn.example_model())
    input = attriburn.Preprocess("imagenet", model.input_shape).input(attriburn.example_picture())
    expected = model.explain(input, plan=plan).values
    for path in paths:
        found = numpy.load(tmp_path / "maps" / f"{path.name}.npy")
        numpy.testing.assert_array_equal(found, expected)
    assert not list((tmp_path / "maps").glob("*.part"))
    shutil.rmtree(pictures)
