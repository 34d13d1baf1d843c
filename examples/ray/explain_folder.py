#!/usr/bin/env python3
"""Explains a folder of pictures on a Ray cluster: one map per picture, written as a .npy file.

    pip install attriburn "ray[data]"
    python explain_folder.py photos/ maps/ --model resnet50.onnx --workers 4

Each worker is an actor that holds the model. If one dies, Ray starts another and repeats its pictures; a map appears
under its name only when it is complete, so nothing is lost and nothing is half written.
"""

import argparse
import pathlib

import attriburn
import numpy
import ray


class Explainer:
    """A worker: the model, loaded once, and the method."""

    def __init__(self, out, model, preprocess, plan, threads):
        attriburn.set_threads(threads)
        self.model = attriburn.Model(attriburn.example_model() if model is None else model)
        self.preprocess = attriburn.Preprocess(preprocess, self.model.input_shape)
        self.plan = attriburn.Plan.from_json(plan)
        self.out = pathlib.Path(out)

    def __call__(self, batch):
        return {"path": batch["path"], "error": numpy.array([self.explain(path) for path in batch["path"]], object)}

    def explain(self, path):
        """Writes the map of a picture. Returns what was wrong with the picture, or an empty text."""
        try:
            map = self.model.explain(self.preprocess.input(path), plan=self.plan)
        except (ValueError, attriburn.Error) as error:
            return str(error)
        # The picture's whole name, so that a.jpg and a.png do not share a file.
        target = self.out / f"{pathlib.Path(path).name}.npy"
        part = target.with_suffix(".part")
        with open(part, "wb") as file:
            numpy.save(file, map.values)
        part.replace(target)
        return ""


def explain(paths, out, model=None, preprocess="imagenet", plan=None, workers=4, threads=1, worker=Explainer):
    """Explains the pictures and returns a dataset with one row per picture."""
    pathlib.Path(out).mkdir(parents=True, exist_ok=True)
    plan = attriburn.adaptgrad() if plan is None else plan
    return (
        ray.data.from_items([{"path": str(path)} for path in paths], override_num_blocks=max(1, len(paths) // 2))
        .map_batches(
            worker,
            fn_constructor_args=(str(out), model, preprocess, plan.to_json(), threads),
            batch_size=2,
            concurrency=workers,
            num_cpus=threads,
        )
        .materialize()
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--model", help="the ONNX file [default: the built-in model]")
    parser.add_argument("--preprocess", default="imagenet")
    parser.add_argument("--samples", type=int, default=50)
    parser.add_argument("--workers", type=int, default=4)
    args = parser.parse_args()
    found = sorted(path for path in args.pictures.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    rows = explain(
        found, args.out, args.model, args.preprocess, attriburn.adaptgrad(samples=args.samples), args.workers
    )
    failures = [row for row in rows.take_all() if row["error"]]
    for row in failures:
        print(f"{row['path']}: {row['error']}")
    print(f"{rows.count() - len(failures)} maps in {args.out}")
