"""How fast the explorer is: a run's map in headless Chromium, as a person would wait for it.

    python benchmarks/explorer.py RUN [--points 70000] [--renderer webgl]

Prints one JSON object: `start_seconds`, from the command to its address (codes kept by an earlier start, or not);
`first_map_seconds`, from the page's address to the first map drawn; `decode_ms`, median and 90th percentile from a
move of the pointer to the decoder's picture on the page, server and all, of 200 moves; `draw_ms`, until all points of a
frame are drawn; `frames_per_second` while panning. `*_processor_ms` is what all processes together, server and browser,
took of the processor: the figures to compare on a machine that others use. With `--renderer webgl` headless Chromium
draws in software, on the processor that decodes.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time

import numpy as np
import psutil
from playwright.sync_api import Page, sync_playwright

MOVES = """async (n) => {
  const { map, state } = explorer;
  const took = [];
  for (let i = 0; i < n; i++) {
    const at = [200 + 300 * Math.random(), 150 + 200 * Math.random()];
    const shown = new Promise((done) => { window.onshown = done; });
    const started = performance.now();
    explorer.hover(map.placeAt(...at), null, at);
    await shown;
    took.push(performance.now() - started);
  }
  return took;
}"""
PAN = """async (n) => {
  const { map } = explorer;
  const frames = [];
  let last = performance.now();
  for (let i = 0; i < n; i++) {
    map.view.x += (i % 40 < 20 ? 4 : -4) / map.view.scale;
    await new Promise((done) => { map.drawn = done; map.draw(); });
    frames.push(performance.now() - last);
    last = performance.now();
  }
  return frames;
}"""
DRAW = """(n) => {
  const { map } = explorer;
  const { gl } = map.points;
  const [left, top] = map.placeAt(0, 0);
  const [right, bottom] = map.placeAt(map.plot.clientWidth, map.plot.clientHeight);
  return Array.from({ length: n }, () => {
    const started = performance.now();
    map.points.draw({ left, right, bottom, top }, 2.6);
    gl?.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4)); // waits until all is drawn
    return performance.now() - started;
  });
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--points", type=int, default=70_000)
    parser.add_argument("--renderer", choices=["webgl", "canvas"], default="canvas")
    asked = parser.parse_args()
    command = [sys.executable, "-m", "latently", "explore", asked.run, "--no-open", "--points", str(asked.points)]
    started = time.monotonic()
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    address = server.stdout.readline().strip()
    figures = {"points": asked.points, "start_seconds": round(time.monotonic() - started, 2)}
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            print(
                json.dumps(figures | measured(page, f"{address}?points={asked.renderer}", psutil.Process(server.pid)))
            )
    finally:
        server.terminate()


def measured(page: Page, address: str, server: psutil.Process) -> dict[str, object]:
    chromium = page.context.browser.new_browser_cdp_session()  # type: ignore[union-attr]

    def processor_ms() -> float:
        processes = chromium.send("SystemInfo.getProcessInfo")["processInfo"]
        own = server.cpu_times()
        return 1000 * (sum(each["cpuTime"] for each in processes) + own.user + own.system)

    def timed(script: str, n: int) -> tuple[list[float], float]:
        before = processor_ms()
        times = page.evaluate(script, n)
        return times, round((processor_ms() - before) / n, 1)

    before = processor_ms()
    page.goto(address)
    page.wait_for_selector("html[data-ready]")
    map_ms = processor_ms() - before
    first = page.evaluate("performance.getEntriesByName('first map')[0].startTime") / 1000
    page.evaluate("explorer.state.on('shown', () => window.onshown?.())")
    moves, move_ms = timed(MOVES, 200)
    frames, frame_ms = timed(PAN, 60)
    draws = page.evaluate(DRAW, 20)
    return {
        "renderer": page.evaluate("explorer.map.points.name"),
        "first_map_seconds": round(first, 2),
        "ready_processor_ms": round(map_ms),
        "decode_ms": np.quantile(moves, [0.5, 0.9]).round(1).tolist(),
        "decode_processor_ms": move_ms,
        "draw_ms": np.quantile(draws, [0.5, 0.9]).round(1).tolist(),
        "frames_per_second": round(1000 / float(np.median(frames)), 1),
        "frame_processor_ms": frame_ms,
    }


if __name__ == "__main__":
    main()
