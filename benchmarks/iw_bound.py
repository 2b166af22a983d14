"""Time of the importance-weighted bound of a 784-512-20 VAE on MNIST's test images, beside a loop over the images.

    LATENTLY_DATA=... python benchmarks/iw_bound.py [--samples 500] [--images 10000] [--loop-images 50] [--run RUN]

The loop is the usual one: an image at a time, repeated K times, encoded K times, the binary cross-entropy and both
normals by torch.distributions. It runs on the first images, in float32 as ours does, and then in double precision with
our noise, which gives `largest_difference_nats`. Prints one JSON object; `load` is the machine's when we began. The
processor's seconds, of all threads, are the fairer measure where others are at work.
"""

import argparse
import copy
import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import distributions, nn

from latently import VAE, Autoencoder, Network, load
from latently.data import load as load_images
from latently.data.noise import image_normal


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--loop-images", type=int, default=50)
    parser.add_argument("--run", type=Path, help="a run of vae; left out: one is trained for three epochs")
    options = parser.parse_args()
    began_with = os.getloadavg()[0]
    mnist = load_images("mnist")
    vae = Autoencoder(VAE(20, Network("dense(512)")), epochs=3, random_state=0)
    fit = load(options.run) if options.run else vae.fit(mnist.images[5000:60_000])
    test = mnist.images[60_000 : 60_000 + options.images]
    few = test[: options.loop_images]
    fit.importance_bound(few, options.samples)  # warm
    ours, wall, processor = timed(lambda: fit.importance_bound(test, options.samples))
    _, loop_wall, loop_processor = timed(lambda: loop(fit, few, options.samples, torch.float32))
    exact, _, _ = timed(lambda: loop(fit, few[:20], options.samples, torch.float64))
    print(json.dumps({
        "samples": options.samples,
        "images": len(test),
        "threads": torch.get_num_threads(),
        "load": began_with,
        "seconds": wall,
        "processor_seconds": processor,
        "iw_bound_nats": float(ours[0].mean(dtype=np.float64)),
        "loop_images": len(few),
        "loop_seconds_per_image": loop_wall / len(few),
        "times_faster": loop_wall / len(few) * len(test) / wall,
        "times_less_processor_time": loop_processor / len(few) * len(test) / processor,
        "largest_difference_nats": float(np.abs(ours[0][:20] - exact).max()),
    }, indent=2))  # fmt: skip


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    wall, processor = time.monotonic(), time.process_time()
    made = work()
    return made, time.monotonic() - wall, time.process_time() - processor


@torch.no_grad()
def loop(fit: Autoencoder, images: np.ndarray, samples: int, dtype: torch.dtype) -> np.ndarray:
    net, standard = copy.deepcopy(fit.net_).to(dtype), distributions.Normal(0.0, 1.0)
    bounds = []
    for image in images:
        x = torch.tensor(image)[None, None].float() / 255
        noise = image_normal(x, samples * 20).view(samples, 20).to(dtype)
        x = x.to(dtype).repeat(samples, 1, 1, 1)
        mean, log_variance = net.encoder(x).chunk(2, dim=1)
        q = distributions.Normal(mean, (0.5 * log_variance).exp())
        z = q.mean + q.stddev * noise
        loss = nn.functional.binary_cross_entropy_with_logits(net.decoder(z), x, reduction="none")
        log_w = standard.log_prob(z).sum(1) - q.log_prob(z).sum(1) - loss.flatten(1).sum(1)
        bounds.append((torch.logsumexp(log_w, 0) - math.log(samples)).item())
    return np.array(bounds)


if __name__ == "__main__":
    main()
