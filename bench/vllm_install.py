"""Whether pip can install a worker with vLLM, without installing it.

`python -m bench.vllm_install`

Resolves `.[vllm]` under `constraints-vllm.txt` as if nothing were installed, downloads little more
than metadata (vLLM's wheel alone has 315 MB), and prints the versions that it comes to. It asks the
package index, so it takes one to three minutes and is no test.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.report import ROOT, table

TOLD = (
    "vllm",
    "torch",
    "transformers",
    "trl",
    "peft",
    "accelerate",
    "fastapi",
    "numpy",
    "pydantic",
)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed"]
        options = ["--quiet", "--report", str(report), "-c", "constraints-vllm.txt", ".[vllm]"]
        done = subprocess.run(
            [*command, *options], cwd=ROOT, capture_output=True, text=True, check=False
        )
        if done.returncode:
            print(done.stderr[-3000:], file=sys.stderr)
            print("pip cannot resolve .[vllm] under constraints-vllm.txt", file=sys.stderr)
            raise SystemExit(1)
        found = json.loads(report.read_text())["install"]
    versions = {
        one["metadata"]["name"].lower().replace("_", "-"): one["metadata"]["version"]
        for one in found
    }
    print(table(["package", "version"], [[name, versions.get(name, "none")] for name in TOLD]))
    print(f"\n{len(versions)} packages in all.")


if __name__ == "__main__":
    main()
