"""Every formula, once. Log-densities, divergences and bounds; per image, in nats.

A distribution over images or codes has a leading batch dimension B; all others are summed over, so that
`log_prob` and the divergences are (B,). Arithmetic is float32 also where the network ran in bfloat16.
"""

import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

LOG_2PI = math.log(2 * math.pi)
BYTE_STEP = 1 / 255  # between pixels that were bytes
NO_VIEW = -1e9  # similarity to what is not compared; finite, for the sake of its gradient


def sum_per_image(terms: Tensor) -> Tensor:
    """(B, ...) or (B,) -> (B,): the sum over everything that is not the batch."""
    return terms.reshape(len(terms), -1).sum(1)


def in_float32(x: Tensor) -> AbstractContextManager[object]:
    """Inside, products are float32 also where the network runs in bfloat16. A tensor without storage is never cast."""
    return nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False)


@dataclass
class Bernoulli:
    """Independent Bernoulli pixels given by `logits` (B, ...), any real number.

    On grey pixels x in [0, 1] this is the cross-entropy, the `continuous` likelihood of the studies: a bound to compare
    with others of its kind, not the log-density of a distribution over [0, 1] (it lacks the normaliser).
    """

    logits: Tensor

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) = sum x log p + (1 - x) log(1 - p), from logits: finite wherever the logits are. -> (B,)"""
        return -sum_per_image(F.binary_cross_entropy_with_logits(self.logits.float(), x, reduction="none"))

    @property
    def mean(self) -> Tensor:
        return torch.sigmoid(self.logits.float())


LEAST_SHADE = 0.01  # of black, and of what white lacks, in `logits_of`


def logits_of(pixels: Tensor) -> Tensor:
    """The logits at which a Bernoulli likelihood has these means, as far as they are between 0.01 and 0.99."""
    return torch.logit(pixels.float(), eps=LEAST_SHADE)


@dataclass
class Normal:
    """Independent normals with `mean` (B, ...) and `log_variance`, of the same shape or one that broadcasts."""

    mean: Tensor
    log_variance: Tensor

    def __post_init__(self) -> None:
        self.mean, self.log_variance = self.mean.float(), self.log_variance.float()

    @property
    def stddev(self) -> Tensor:
        return torch.exp(0.5 * self.log_variance)

    def rsample(self, noise: Tensor | None = None) -> Tensor:
        """mean + stddev * noise, noise ~ N(0, I) where none is given (Kingma & Welling 2013, section 2.4)."""
        return self.mean + self.stddev * (torch.randn_like(self.mean) if noise is None else noise)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """n draws from a single distribution, mean (1, Z), by a generator of the CPU. -> (n, Z)"""
        return self.rsample(torch.randn(n, self.mean.shape[1], generator=generator).to(self.mean.device))

    def times(self, other: "Normal") -> "Normal":
        """The normal whose density is proportional to the product of both: precisions add (Sonderby et al. 2016, eq. 11
        and 12)."""
        log_variance = -torch.logaddexp(-self.log_variance, -other.log_variance)
        own, others = (torch.exp(log_variance - each.log_variance) for each in (self, other))  # shares of the precision
        return Normal(own * self.mean + others * other.mean, log_variance)

    def repeated(self, k: int) -> "Normal":
        """The B distributions over codes k times, one whole batch after the other. -> (k B, Z)"""
        return Normal(self.mean.repeat(k, 1), self.log_variance.repeat(k, 1))

    def log_prob(self, x: Tensor) -> Tensor:
        """log N(x; mean, variance) -> (B,)"""
        squared = (x - self.mean).square() * torch.exp(-self.log_variance)
        return -0.5 * sum_per_image(squared + self.log_variance + LOG_2PI)

    def kl(self, other: "Normal") -> Tensor:
        """KL(q || other) of each dimension. -> (B, Z), never negative."""
        log_ratio = self.log_variance - other.log_variance
        squared = (self.mean - other.mean).square() * torch.exp(-other.log_variance)
        return 0.5 * (squared + log_ratio.exp() - 1 - log_ratio)

    def kl_to_standard_normal(self, z: Tensor | None = None) -> Tensor:
        """KL(q || N(0, 1)) of each dimension (Kingma & Welling 2013, appendix B). -> (B, Z), never negative.

        z, a sample, is for densities without such a closed form, and not used."""
        return 0.5 * (self.mean.square() + self.log_variance.exp() - 1 - self.log_variance)


LEAST_PIXEL_VARIANCE = 1e-6  # of pixels, where a variance is measured: those of constant images have none


def best_log_variance(x: Tensor, mean: Tensor) -> Tensor:
    """The log variance of normals about `mean`, one for all values, under which x (B, ...) is most probable: that of
    the mean squared error (Rybkin et al. 2021, optimal sigma-VAE). -> ()"""
    return (x - mean).square().mean().clamp(min=LEAST_PIXEL_VARIANCE).log()


@dataclass
class DiscretisedLogistic:
    """Pixels that are bytes, x = 0, 1/255 .. 1 (Salimans et al. 2017, eq. 2, with one logistic for each pixel): a value
    has the probability of its bin under a logistic with `mean` (B, ...) and variance exp(`log_variance`), which
    broadcasts; the outermost bins reach to infinity. A probability, so that -log2 of it is in bits."""

    mean: Tensor
    log_variance: Tensor

    def __post_init__(self) -> None:
        self.mean, self.log_variance = self.mean.float(), self.log_variance.float()

    def log_prob(self, x: Tensor) -> Tensor:
        """log [F(x + 1/510) - F(x - 1/510)], F the logistic function of (x - mean) / s, s = sqrt(3 variance) / pi.

        For a > b, sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - e^(b - a)): finite however far the mean is.
        -> (B,)
        """
        sharpness = torch.exp(-0.5 * self.log_variance) * (math.pi / math.sqrt(3))  # 1 / s
        above, below = ((x - self.mean + half) * sharpness for half in (0.5 * BYTE_STEP, -0.5 * BYTE_STEP))
        inside = torch.log(-torch.expm1(-BYTE_STEP * sharpness))
        left, right = F.logsigmoid(above), F.logsigmoid(-below)  # log F, and log of what is beyond
        black, white = x < 0.5 * BYTE_STEP, x > 1 - 0.5 * BYTE_STEP
        return sum_per_image(torch.where(black, left, torch.where(white, right, left + right + inside)))


@dataclass
class Mixture:
    """One density over codes: M normals `parts`, (M, Z), each as likely as the others."""

    parts: Normal

    @property
    def mean(self) -> Tensor:
        return self.parts.mean.mean(0, keepdim=True)  # (1, Z)

    @property
    def stddev(self) -> Tensor:
        """Of each dimension by itself: the parts' variances, and that of their means. (1, Z)"""
        within = self.parts.log_variance.exp().mean(0, keepdim=True)
        return (within + self.parts.mean.var(0, correction=0, keepdim=True)).sqrt()

    def log_prob(self, z: Tensor) -> Tensor:
        """log 1/M sum_m N(z; mean_m, variance_m) of codes (B, Z). -> (B,)

        The squares are multiplied out, so that two matrix products do the work and no (B, M, Z) is ever made; about
        the mixture's own mean, for float32 then loses least.
        """
        with in_float32(z):  # bfloat16 products would lose nats
            z, means = z.float() - self.mean, self.parts.mean - self.mean  # (B, Z), (M, Z)
            precision = torch.exp(-self.parts.log_variance)
            constant = (means.square() * precision + self.parts.log_variance + LOG_2PI).sum(1)  # (M,)
            squared = z.square() @ precision.T - 2 * z @ (means * precision).T  # (B, M)
            return log_mean_exp(-0.5 * (squared + constant).T)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """n draws, by a generator of the CPU. -> (n, Z)"""
        m = torch.randint(len(self.parts.mean), (n,), generator=generator).to(self.parts.mean.device)
        noise = torch.randn(n, self.parts.mean.shape[1], generator=generator).to(self.parts.mean.device)
        return Normal(self.parts.mean[m], self.parts.log_variance[m]).rsample(noise)


@dataclass
class Categorical:
    """A class in 0..K-1 given by `logits` (B, K), any real numbers."""

    logits: Tensor

    def __post_init__(self) -> None:
        self.logits = self.logits.float()

    @property
    def log_probabilities(self) -> Tensor:
        return F.log_softmax(self.logits, 1)  # (B, K)

    @property
    def n_classes(self) -> int:
        return self.logits.shape[1]

    @property
    def entropy(self) -> Tensor:
        """-sum_y p(y) log p(y) -> (B,), from 0 to log K."""
        return -(self.log_probabilities.exp() * self.log_probabilities).sum(1)

    def log_prob(self, y: Tensor) -> Tensor:
        """log p(y) of classes (B,); 0 where y is -1: an unknown class says nothing. -> (B,)"""
        known = y >= 0
        return torch.where(known, self.log_probabilities.gather(1, y.clamp(min=0)[:, None])[:, 0], 0.0)

    def smoothed_log_prob(self, y: Tensor, smoothing: float) -> Tensor:
        """(1 - s) log p(y) + s mean_k log p(k): label smoothing (Szegedy et al. 2016, section 7). -> (B,)"""
        if not smoothing:
            return self.log_prob(y)
        everywhere = torch.where(y >= 0, self.log_probabilities.mean(1), 0.0)
        return (1 - smoothing) * self.log_prob(y) + smoothing * everywhere


@dataclass
class Point:
    """A code without spread: what a plain autoencoder has in place of q(z|x)."""

    mean: Tensor


@dataclass
class SquaredError:
    """The unnormalised 'likelihood' of an autoencoder trained on squared error; in squared pixel units, not nats."""

    mean: Tensor

    def log_prob(self, x: Tensor) -> Tensor:
        """-sum (x - mean)^2 -> (B,)"""
        return -sum_per_image((x - self.mean.float()).square())


@dataclass
class AbsoluteError:
    """The unnormalised 'likelihood' of an autoencoder trained on absolute error, in pixel units: a Laplace's, whose
    median is kept sharp where a mean would blur."""

    mean: Tensor

    def log_prob(self, x: Tensor) -> Tensor:
        """-sum |x - mean| -> (B,)"""
        return -sum_per_image((x - self.mean.float()).abs())


def free_bits(kl: Tensor, floor_nats: float) -> Tensor:
    """KL with a floor under each latent dimension's mean over the batch (Kingma et al. 2016, eq. 15).

    kl: (B, Z). -> (B,), the same for every image: a dimension below the floor costs the floor and gets no gradient.
    """
    return kl.mean(0).clamp(min=floor_nats).sum().expand(len(kl))


def log_mean_exp(log_weights: Tensor) -> Tensor:
    """log 1/K sum_k w_k of log w (K, B). Of importance weights it is the bound on log p(x) of Burda et al. 2015, eq. 8.

    -> (B,)
    """
    return torch.logsumexp(log_weights, 0) - math.log(len(log_weights))


def log_mean_and_error(log_sum: Tensor, log_squares: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """`log_mean_exp` of k weights of which only log sum w and log sum w^2 were kept, (B,) each, and its standard error.

    The error is the delta method's: that of the mean weight, over the mean weight. k is 2 at least. -> (B,), (B,)
    """
    squared_error = ((log_squares - 2 * log_sum).exp() - 1 / k) * k / (k - 1)
    return log_sum - math.log(k), squared_error.clamp(min=0).sqrt()


def nt_xent(projected: Tensor, n_views: int, temperature: float) -> Tensor:
    """Normalised, temperature-scaled cross-entropy (Chen et al. 2020, eq. 1) of views (V B, P), B images V times over.

    With s the cosine of two views over the temperature: -log e^s_ij / (e^s_ij + sum_k e^s_ik), i and j two views of one
    image, k the views of the others. -> (B,), the mean over an image's pairs
    """
    n = len(projected) // n_views
    image = torch.arange(len(projected), device=projected.device) % n
    same = image[:, None] == image  # (V B, V B): views of one image, themselves included
    with in_float32(projected):
        unit = F.normalize(projected.float(), dim=1)
        similarity = unit @ unit.T / temperature
        others = similarity.masked_fill(same, NO_VIEW).logsumexp(1, keepdim=True)
        pairs = F.softplus(others - similarity)  # -log e^s / (e^s + sum of others), (V B, V B)
    is_pair = same & ~torch.eye(len(projected), dtype=torch.bool, device=projected.device)
    per_view = torch.where(is_pair, pairs, 0.0).sum(1) / (n_views - 1)
    return per_view.view(n_views, n).mean(0)


def coding_rate(z: Tensor, distortion: float) -> Tensor:
    """Nats that it takes to tell vectors z (..., B, P) up to a squared error of `distortion` (e^2) (Ma et al.
    2007): 1/2 log det(I + P / (B e^2) Z^T Z) -> (...)"""
    n, width = z.shape[-2:]
    with in_float32(z):
        gram = z @ z.mT * (width / (n * distortion))  # (..., B, B), whose determinant here is that of (P, P)
    return 0.5 * torch.logdet(torch.eye(n, device=z.device) + gram)


def nats_to_bits(nats: float) -> float:
    """A nat is 1 / log 2 bits."""
    return nats / math.log(2)


def bits_per_dim(elbo_nats: float, n_dimensions: int) -> float:
    """-ELBO in bits, spread over the pixels and channels of one image."""
    return nats_to_bits(-elbo_nats) / n_dimensions


def relative_difference(a: Tensor, b: Tensor) -> Tensor:
    """mean |a - b| / mean |b| of maps (B, ...), for each image (B,); b is a target, without a gradient."""
    a, b = a.float().flatten(1), b.detach().float().flatten(1)
    return (a - b).abs().mean(1) / b.abs().mean(1).clamp(min=1e-6)
