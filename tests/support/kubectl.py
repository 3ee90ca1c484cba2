"""A stand-in for `kubectl` and its cluster, for tests: it knows the verbs and options that engine
`kubernetes` may use, and refuses all else. Objects are files of a folder beside it.

    install(folder)     a program `kubectl` in it
    python kubectl.py get jobs,pods --selector=a=b --output=json
"""

from __future__ import annotations

import argparse
import json
import shlex
import stat
import sys
from pathlib import Path
from typing import Any

KINDS = {"jobs": "Job", "pods": "Pod", "nodes": "Node"}


def install(folder: Path) -> Path:
    """Puts the program into a folder; the folder of its objects."""
    objects = folder / "objects"
    objects.mkdir(parents=True)
    words = [sys.executable, "-S", "-E", str(Path(__file__)), str(objects)]
    program = folder / "kubectl"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return objects


def put(objects: Path, item: dict[str, Any]) -> None:
    name = f"{item['kind']}-{item['metadata']['name']}.json"
    (objects / name).write_text(json.dumps(item))


def stored(objects: Path, kind: str) -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in sorted(objects.glob(f"{kind}-*.json"))]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kubectl", allow_abbrev=False)
    verbs = parser.add_subparsers(dest="verb", required=True)
    get, create, delete = map(verbs.add_parser, ("get", "create", "delete"))
    for verb in (get, create, delete):
        verb.add_argument("--namespace")
    get.add_argument("kinds")
    get.add_argument("--selector", default="")
    get.add_argument("--output", choices=["json"], required=True)
    create.add_argument("--filename", choices=["-"], required=True)
    create.add_argument("--output", choices=["name"])
    delete.add_argument("item")
    delete.add_argument("--cascade", choices=["foreground"], required=True)
    delete.add_argument("--wait", choices=["false"], required=True)
    delete.add_argument("--ignore-not-found", action="store_true")
    return parser


def main(objects: Path, arguments: list[str]) -> str:
    """What is printed.

    Raises:
        SystemExit: it refuses.
    """
    asked = _parser().parse_args(arguments)
    with (objects.parent / "calls").open("a") as calls:
        calls.write(shlex.join(arguments) + "\n")
    if (refusal := objects.parent / f"refuses-{arguments[1]}").exists():
        sys.exit(refusal.read_text())
    if asked.verb == "create":
        items = [json.loads(line) for line in sys.stdin]
        names = [item["metadata"]["name"] for item in items]
        for name, item in zip(names, items, strict=True):
            if (objects / f"Job-{name}.json").exists():
                sys.exit(f'Error from server (AlreadyExists): "{name}" already exists')
            put(objects, item | {"status": {}})
        return "".join(f"job.batch/{name}\n" for name in names)
    if asked.verb == "delete":
        kind, _, name = asked.item.partition("/")
        files = list(objects.glob(f"{kind.capitalize()}-{name}.json"))
        if not files and not asked.ignore_not_found:
            sys.exit(f'Error from server (NotFound): "{name}" not found')
        for file in files:
            item = json.loads(file.read_text())
            item["metadata"]["deletionTimestamp"] = "2030-01-01T00:00:00Z"
            file.write_text(json.dumps(item))
        return ""
    items = [item for kind in asked.kinds.split(",") for item in stored(objects, KINDS[kind])]
    label, _, value = asked.selector.partition("=")
    items = [i for i in items if not label or i["metadata"].get("labels", {}).get(label) == value]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


if __name__ == "__main__":
    sys.stdout.write(main(Path(sys.argv[1]), sys.argv[2:]))
