#!/usr/bin/env python3
"""Finds import cycles between the files of each crate.

    python3 tools/imports.py

A file imports another if it names an item of it: by `use`, or by a path that begins with `crate::`, `super::` or
`self::`. A name that a module only re-exports counts as an import of the file that defines it. `mod` lines are no
imports. Unit tests (`#[cfg(test)] mod tests`) are left out. Prints each cycle and exits with 1 if there is one.
"""

import re
import subprocess
import sys
from pathlib import Path

CRATES = ["kernels", "backends", "core", "importers", "picture", "metrics", "evaluate", "cli"]


def modules(root):
    """The files of a crate by module path, `("engine", "run")` for src/engine/run.rs."""
    found = {}
    for path in sorted(root.rglob("*.rs")):
        parts = list(path.relative_to(root).with_suffix("").parts)
        if parts[-1] in ("mod", "lib", "main"):
            parts.pop()
        found[tuple(parts)] = path
    return found


def without_tests_and_comments(text):
    text = re.split(r"#\[cfg\(test\)\]\s*mod tests\s*\{", text)[0]
    text = re.sub(r"//[^\n]*", "", text)
    return re.sub(r'"(?:[^"\\]|\\.)*"', '""', text)


def expand(tree):
    """The paths of a use tree such as `a::{b, c::{d, e as f}}`."""
    tree = tree.strip()
    at = tree.find("{")
    if at < 0:
        yield re.sub(r"\s+as\s+\w+$", "", tree).strip()
        return
    prefix, inner = tree[:at], tree[at + 1 : tree.rfind("}")]
    depth, start = 0, 0
    for i, c in enumerate(inner + ","):
        if c == "{":
            depth += 1
        elif c == "}":
            depth -= 1
        elif c == "," and depth == 0:
            part = inner[start:i].strip()
            start = i + 1
            if part:
                for path in expand(part):
                    yield prefix + path


def uses(text):
    """The paths of all `use` items: whether public, and the path."""
    for match in re.finditer(r"\b(pub(?:\([^)]*\))?\s+)?use\s+([^;]+);", text):
        for path in expand(match.group(2)):
            yield bool(match.group(1)), path


def absolute(path, module, is_root_file):
    """The parts of a path within the crate, or None for another crate's."""
    parts = [part.strip() for part in path.split("::")]
    base = None
    if parts[0] == "crate":
        base, parts = (), parts[1:]
    elif parts[0] == "self":
        base, parts = module, parts[1:]
    elif parts[0] == "super":
        base = module
        while parts and parts[0] == "super":
            base, parts = base[:-1], parts[1:]
    if base is None:
        return None
    return tuple(base) + tuple(parts)


def owner(parts, files, exports, seen=()):
    """The module that defines the item at `parts`."""
    best = max((parts[:n] for n in range(len(parts) + 1) if parts[:n] in files), key=len)
    rest = parts[len(best) :]
    if rest and (best, rest[0]) in exports and (best, rest[0]) not in seen:
        return owner(exports[best, rest[0]] + rest[1:], files, exports, seen + ((best, rest[0]),))
    return best


def graph(root):
    files = modules(root)
    texts = {module: without_tests_and_comments(path.read_text()) for module, path in files.items()}
    exports = {}
    for module, text in texts.items():
        for public, path in uses(text):
            parts = absolute(path, module, False)
            if parts is None and path.split("::")[0].strip() and (module + (path.split("::")[0].strip(),)) in files:
                parts = module + tuple(part.strip() for part in path.split("::"))
            if public and parts:
                exports[module, parts[-1]] = parts
    edges = {}
    for module, text in texts.items():
        found = set()
        paths = [path for public, path in uses(text) if not public or module]
        body = re.sub(r"\buse\s+[^;]+;", "", text)
        paths += re.findall(r"\b(?:crate|super|self)(?:::\w+)+", body)
        reexports = {path for public, path in uses(text) if public}
        for path in paths:
            if path in reexports:
                continue
            parts = absolute(path, module, False)
            if parts is None:
                first = path.split("::")[0].strip()
                if (module + (first,)) not in files:
                    continue
                parts = module + tuple(part.strip() for part in path.split("::"))
            target = owner(parts, files, exports)
            if target != module:
                found.add(target)
        edges[module] = found
    return files, edges


def cycles(edges):
    """The strongly connected components of more than one module."""
    index, low, stack, on_stack, found = {}, {}, [], set(), []

    def visit(module):
        index[module] = low[module] = len(index)
        stack.append(module)
        on_stack.add(module)
        for other in sorted(edges.get(module, ())):
            if other not in index:
                visit(other)
                low[module] = min(low[module], low[other])
            elif other in on_stack:
                low[module] = min(low[module], index[other])
        if low[module] == index[module]:
            component = []
            while True:
                other = stack.pop()
                on_stack.discard(other)
                component.append(other)
                if other == module:
                    break
            if len(component) > 1:
                found.append(sorted(component))

    for module in sorted(edges):
        if module not in index:
            visit(module)
    return found


def main():
    sys.setrecursionlimit(10_000)
    top = Path(__file__).resolve().parent.parent
    failed = False
    for crate in CRATES:
        root = top / crate / "src"
        files, edges = graph(root)
        for component in cycles(edges):
            failed = True
            print(f"{crate}: an import cycle between")
            for module in component:
                inside = sorted(edges[module] & set(component))
                targets = ", ".join(str(files[other].relative_to(root)) for other in inside)
                print(f"  {files[module].relative_to(root)} -> {targets}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
