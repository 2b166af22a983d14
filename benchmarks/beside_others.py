"""What a training step costs beside other busy processes, by how long OpenMP's threads wait for each other.

    LATENTLY_DATA=... python benchmarks/beside_others.py [--busy 0 1 2] [--steps 100] [--rounds 3]

The compiled step of 784-512-20, batch 128, on all cores, while `--busy` processes compute nothing useful: with
GOMP_SPINCOUNT as GNU OpenMP has it (300,000), as latently sets it, and with threads that sleep at once. Milliseconds by
the wall, mean over the steps, in turn; benchmarks/results/beside-others.json.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

from pairs import RESULTS, machine

# In sessions of their own, as in other terminals: Linux shares the cores out between sessions.
BUSY = [sys.executable, "-c", "while True: pass"]
POLICIES = {
    "OpenMP's own": {"GOMP_SPINCOUNT": "300000"},
    "latently's": {},
    "asleep at once": {"OMP_WAIT_POLICY": "passive"},
}


def step_ms(steps: int) -> float:
    from latently.data import load  # before torch is: what latently sets is read when torch is loaded

    # isort: split
    from profile_step import CPU, Variant

    from latently.training.hardware import seeded

    with seeded(0, CPU):
        variant = Variant("mlp-512", load("mnist").images[5000:60_000], time.perf_counter)
        variant.compile()
        for _ in range(steps + 10):
            variant.compiled()
    (step,) = (each for name, each in variant.stages.taken.items() if name.startswith("compiled"))
    return statistics.fmean(step[10:])


def measured(steps: int, policy: dict[str, str]) -> float:
    command = [sys.executable, __file__, "--steps", str(steps), "--one"]
    ours = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    return float(subprocess.run(command, env=kept | policy, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(step_ms(options.steps))
        return
    report = {"machine": machine(), "steps": options.steps, "load": os.getloadavg()[0], "ms": []}
    for busy in options.busy:
        others = [subprocess.Popen(BUSY, start_new_session=True) for _ in range(busy)]
        try:
            for _ in range(options.rounds):
                row = {name: round(measured(options.steps, policy), 2) for name, policy in POLICIES.items()}
                report["ms"].append({"busy": busy} | row)
                print(report["ms"][-1], flush=True)
        finally:
            for other in others:
                other.kill()
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "beside-others.json").write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
