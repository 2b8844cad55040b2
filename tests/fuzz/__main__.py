"""Coverage-guided fuzzing of everything that the relay parses: `make fuzz MINUTES=10`.

Each target runs in a process of its own, `--jobs` at a time, and shares the minutes with the
others. At the end its corpus is reduced to the inputs that reach different code and is kept in
`tests/fuzz/corpus`, which every test run replays. The exit code is 1 if an input broke a parser,
hung it (over 10 s) or took over a gigabyte: the input is added to the corpus, and printed.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz import corpus
from tests.fuzz.seeds import SEEDS
from tests.fuzz.targets import TARGETS

WORKER = Path(__file__).parent / "worker.py"
ROOT = WORKER.parents[2]

TIMEOUT = 10
MEMORY = 1_024
"""The most seconds and megabytes for one input."""


@dataclass(frozen=True, slots=True)
class Finding:
    """An input that broke its target, and the end of what was printed then."""

    target: str
    data: bytes
    output: str


def main() -> None:
    """Fuzz each target, print a line for each, and exit with 1 if there was a finding."""
    arguments = _parser().parse_args()
    if importlib.util.find_spec("atheris") is None:
        sys.exit("atheris is not installed: run this by `make fuzz`")
    names = arguments.target or sorted(TARGETS)
    jobs = min(arguments.jobs, len(names))
    seconds = max(1, round(arguments.minutes * 60 * jobs / len(names)))
    _say(f"{len(names)} targets, {seconds} s each, {jobs} at a time")
    with ThreadPoolExecutor(jobs) as pool:
        results = list(pool.map(lambda name: _fuzz(name, seconds), names))
    findings = [one for one in results if one is not None]
    for finding in findings:
        _say(f"\n{finding.target}: {finding.data[:2_000]!r}\n{finding.output}")
    sys.exit(1 if findings else 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5, help="for all targets together")
    parser.add_argument("--target", action="append", choices=sorted(TARGETS))
    parser.add_argument("--jobs", type=int, default=2)
    return parser


def _fuzz(name: str, seconds: int) -> Finding | None:
    with tempfile.TemporaryDirectory(prefix=f"fuzz-{name}-") as directory:
        inputs, broken, reduced = (Path(directory, part) for part in ("in", "broken", "reduced"))
        for path in (inputs, broken, reduced):
            path.mkdir()
        for number, data in enumerate((*SEEDS[name], *corpus.read(name))):
            (inputs / f"{number:05}").write_bytes(data)
        run = _run(
            name, inputs, f"-max_total_time={seconds}", f"-artifact_prefix={broken}/", *_LIMITS
        )
        _run(name, reduced, inputs, "-merge=1", *_LIMITS)
        found = [path.read_bytes() for path in sorted(broken.iterdir())]
        kept = corpus.write(name, [*(path.read_bytes() for path in reduced.iterdir()), *found])
        _say(f"{name:20} {kept:4} inputs kept, {_executions(run)} runs")
        if not found and run.returncode == 0:
            return None
        return Finding(name, found[0] if found else b"", _relevant(run.stdout))


_LIMITS = (
    f"-timeout={TIMEOUT}",
    f"-rss_limit_mb={MEMORY}",
    "-max_len=4096",
    "-print_final_stats=1",
)


def _run(name: str, *arguments: Path | str) -> subprocess.CompletedProcess[str]:
    # The worker is found as `python` on the path, and the packages from the current directory.
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    environ = os.environ | {"FUZZ_TARGET": name, "PATH": path, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [str(WORKER), *map(str, arguments)],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )


def _relevant(output: str) -> str:
    """The exception and libFuzzer's verdict, without its progress."""
    lines = (line for line in output.splitlines() if not line.startswith(("INFO", "#", "WARNING")))
    return "\n".join(list(lines)[-40:])


def _executions(run: subprocess.CompletedProcess[str]) -> str:
    lines = (line for line in run.stdout.splitlines() if "number_of_executed_units" in line)
    return next(lines, "no").rpartition(":")[2].strip()


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
