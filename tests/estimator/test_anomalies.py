"""Ways to score anomalies: against brute force and closed forms, and on digits of one class."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from latently import AE, CVAE, VAE, AnomalyDetector, Autoencoder, InputError, Network, SimCLR
from latently.estimator.anomalies import fitted_way, neighbour_distance, p_values, way_for
from latently.estimator.patches import PaDiM, PatchCore, Patches, k_centres

SMALL = Network(encoder="dense(32)")
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def digits():
    bunch = load_digits()
    return bunch.images / 16, bunch.target


@pytest.fixture(scope="module")
def of_threes(digits):
    """An autoencoder of the first hundred threes."""
    X, y = digits
    return Autoencoder(AE(4, network=SMALL), epochs=60, random_state=0).fit(X[y == 3][:100])


# Formulas -------------------------------------------------------------------------------------------------------------


def test_the_distance_to_neighbours_by_brute_force():
    normal, queries = RNG.normal(size=(50, 3)), RNG.normal(size=(9, 3))
    by_hand = np.sort(np.linalg.norm(normal[None] - queries[:, None], axis=2), 1)
    assert np.allclose(neighbour_distance(normal, queries, 4), by_hand[:, :4].mean(1))
    itself = np.sort(np.linalg.norm(normal[None] - normal[:, None], axis=2), 1)[:, 1:]
    assert np.allclose(neighbour_distance(normal, normal, 4), itself[:, :4].mean(1)), "no code is its own neighbour"


def test_patches_by_brute_force():
    x, queries = RNG.random((20, 2, 9, 12)).astype(np.float32), RNG.random((4, 2, 9, 12)).astype(np.float32)
    patches = Patches(torch.from_numpy(x), k=3)
    assert patches.widths == [3, 4]
    found = patches.distances(torch.from_numpy(queries)).numpy()
    places = [(slice(top, top + 3), slice(left, left + 4)) for top in range(7) for left in range(9)]
    assert list(patches.places()) == places
    x, queries = (gaussian_filter(images, (0, 0, 0.7, 0.7), truncate=2.8, mode="nearest") for images in (x, queries))
    for distances, (down, across) in zip(found.T, places, strict=True):
        squares = ((x[None, :, :, down, across] - queries[:, None, :, down, across]) ** 2).mean((2, 3, 4))
        assert np.allclose(distances, np.sqrt(np.sort(squares, 1)[:, 2]), atol=1e-5)


def test_a_normal_image_is_compared_with_the_others():
    x = torch.rand(20, 1, 9, 9, generator=torch.Generator().manual_seed(0))
    found = Patches(x).distances(x[:1])
    assert torch.allclose(found, Patches(x[1:]).distances(x[:1]), atol=1e-5)


def test_a_map_of_patches_is_brightest_where_something_is_pasted():
    x = np.zeros((30, 1, 28, 28), np.float32)
    x += RNG.normal(scale=0.05, size=x.shape).astype(np.float32)
    odd = x[:2].copy()
    odd[0, 0, 4:9, 18:23] = 1
    maps = Patches(torch.from_numpy(x)).maps(torch.from_numpy(odd)).numpy()
    assert maps[0, 4:9, 18:23].min() > 5 * maps[0, 10:].max(), "only what was pasted is odd"
    assert maps[0, 4:9, 18:23].min() > 5 * maps[1].max()


def test_padim_is_the_mahalanobis_distance_at_each_place():
    from scipy.spatial.distance import mahalanobis

    maps, queries = (torch.from_numpy(RNG.normal(size=(n, 3, 2, 2)).cumsum(1)).float() for n in (40, 5))
    found = PaDiM(iter(maps.split(15))).distances(queries)
    covariances = [np.cov(maps[:, :, i, j].T.numpy()) for i in range(2) for j in range(2)]
    ridge = 0.01 * np.mean([np.diag(each) for each in covariances]) * np.eye(3)
    for place, covariance in enumerate(covariances):
        i, j = divmod(place, 2)
        inverse, mean = np.linalg.inv(covariance + ridge), maps[:, :, i, j].mean(0)
        by_hand = [mahalanobis(query[:, i, j], mean, inverse) for query in queries]
        assert np.allclose(found[:, i, j], by_hand, rtol=1e-4)
    alike = PaDiM([torch.ones(4, 3, 2, 2)]).distances(torch.stack([torch.ones(3, 2, 2), torch.zeros(3, 2, 2)]))
    assert (alike[0] == 0).all()
    assert (alike[1] > 0).all(), "maps that do not vary"


def test_the_coreset_leaves_nothing_far_away():
    """Greedy k-centre: no point is farther from the chosen than twice the best possible (Gonzalez 1985)."""
    rows = torch.from_numpy(np.concatenate([RNG.normal(centre, 0.1, (30, 2)) for centre in ((0, 0), (9, 0), (0, 9))]))
    chosen = k_centres(rows, 3)
    assert sorted((chosen // 30).tolist()) == [0, 1, 2], "one of each group"
    by_hand = [0]
    for _ in range(11):
        away = torch.cdist(rows, rows[by_hand]).amin(1)
        by_hand.append(int(away.argmax()))
    assert k_centres(rows, 12).tolist() == by_hand


def test_patchcore_is_the_distance_to_the_nearest_kept_patch_at_any_place():
    maps = torch.from_numpy(RNG.normal(size=(30, 4, 3, 3))).float()
    core = PatchCore(iter(maps.split(10)))
    assert len(core.bank) == 27, "a tenth of the patches"
    queries = torch.from_numpy(RNG.normal(size=(5, 4, 3, 3))).float()
    by_hand = torch.cdist(queries.permute(0, 2, 3, 1).flatten(0, 2), core.bank).amin(1).view(5, 3, 3)
    assert torch.allclose(core.distances(queries), by_hand, atol=1e-4)


@pytest.fixture(scope="module")
def with_maps(digits):
    """Of the first hundred threes, convolutions whose maps have 8 x 8 and 4 x 4 places."""
    X, y = digits
    network = Network("conv(8, 3) pool(2) conv(16, 3) dense(out)")
    return Autoencoder(AE(4, network=network), epochs=30, random_state=0).fit(X[y == 3][:100])


@pytest.mark.parametrize("by", ["patchcore", "padim"])
def test_maps_of_an_encoder_tell_what_is_odd_and_where(digits, with_maps, of_threes, by):
    X, y = digits
    threes, others = X[y == 3], X[y != 3][:300]
    way = fitted_way(by, with_maps, threes[:100])
    scores = way.scores(np.concatenate([threes[100:], others]))
    assert roc_auc_score(np.r_[np.ones(len(threes) - 100), np.zeros(len(others))], scores) > 0.9
    pasted = threes[100:150].copy()
    pasted[:, 5:, :3] = 1  # where a three has nothing
    maps = way.maps(pasted)
    assert maps.shape == (50, 8, 8)
    where = np.zeros((8, 8), bool)
    where[5:, :3] = True
    assert roc_auc_score(np.tile(where.ravel(), 50), maps.ravel()) > 0.8
    with pytest.raises(InputError, match=f"{by} compares places of an encoder's maps, and this encoder has none"):
        fitted_way(by, of_threes, threes[:100])


def test_p_values_are_uniform_where_images_are_normal():
    """At most a of normal images have p <= a; with ties they are larger, never smaller."""
    rates = []
    for _ in range(400):
        held_out, normal = RNG.normal(size=99), RNG.normal(size=50)
        rates.append([(p_values(normal, held_out) <= a).mean() for a in (0.01, 0.1, 0.5)])
    assert np.allclose(np.mean(rates, 0), [0.01, 0.1, 0.5], rtol=0.2)
    assert p_values(np.zeros(3), np.zeros(9)).tolist() == [1, 1, 1]
    assert p_values(np.array([-5.0]), np.arange(9.0)).tolist() == [0.1]


def test_false_alarms_are_as_many_as_were_asked_for(digits):
    """On real images: over five draws, within a half of it."""
    X, rates = digits[0], []
    for draw in range(5):
        order = np.random.default_rng(draw).permutation(len(X))
        learned, held_out, judged = (X[each] for each in np.split(order, [400, 1000]))
        way = fitted_way("patches", Autoencoder(AE(4, network=SMALL), epochs=1, random_state=0).fit(learned), learned)
        p = p_values(way.scores(judged), way.scores(held_out))
        rates.append([(p <= asked).mean() for asked in (0.01, 0.05, 0.1)])
    assert np.allclose(np.mean(rates, 0), [0.01, 0.05, 0.1], rtol=0.5)


# Ways -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["elbo", "error", "neighbours", "patches"])
def test_other_digits_score_lower_than_held_out_threes(digits, of_threes, by):
    X, y = digits
    threes, others = X[y == 3], X[y != 3][:400]
    way = fitted_way(by, of_threes, threes[:100])
    scores = way.scores(np.concatenate([threes[100:], others]))
    is_three = np.r_[np.ones(len(threes) - 100), np.zeros(len(others))]
    assert roc_auc_score(is_three, scores) > (0.6 if by == "neighbours" else 0.9), (
        "a plain code tells little by distance"
    )
    some = RNG.permutation(len(others))[:50]
    assert np.array_equal(way.scores(others[some]), way.scores(others)[some]), "scores depend on order or batch"
    maps = way.maps(others[:5])
    assert maps.shape == (5, 8, 8)
    assert (maps >= 0).all()


def test_features_that_comparison_made_are_compared_by_cosine_and_turn_by_turn(digits):
    X = digits[0][:60]
    model = SimCLR(6, rotations=True, network=Network("conv(4, 3) mean()"))
    fitted = Autoencoder(model, epochs=1, batch_size=30, random_state=0).fit(X[:50])
    found = fitted_way("neighbours", fitted, X[:50])
    by_hand = np.zeros(10)
    for quarters in range(4):
        normal, seen = (fitted.transform(np.rot90(some, quarters, (1, 2)))[:, :4] for some in (X[:50], X[50:]))
        normal, seen = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (normal, seen))
        by_hand += np.sort(np.linalg.norm(normal[None] - seen[:, None], axis=2), 1)[:, :2].mean(1)
    assert np.allclose(found.scores(X[50:]), -by_hand, atol=1e-5)


def test_auto_is_by_what_the_model_and_the_images_allow(digits, of_threes):
    X = digits[0][:60]
    assert fitted_way("auto", of_threes, X).name == "patches"
    colours = np.repeat(X[..., None], 3, 3)
    simclr = Autoencoder(SimCLR(6, network=Network("conv(4, 3) mean()")), epochs=1, batch_size=30)
    assert fitted_way("auto", simclr.fit(colours), colours).name == "neighbours"
    assert fitted_way("auto", simclr.fit(X), X).name == "patches"
    rows = Autoencoder(AE(4, network=SMALL), epochs=1).fit(X.reshape(60, -1))
    assert fitted_way("auto", rows, X.reshape(60, -1)).name == "error"
    with pytest.raises(InputError, match="patches need images of 8 x 8 pixels or more, and these are 64 x 1"):
        fitted_way("patches", rows, X.reshape(60, -1))
    with pytest.raises(InputError, match="by is 'luck'"):
        fitted_way("luck", of_threes, X)


# AnomalyDetector ------------------------------------------------------------------------------------------------------


@parametrize_with_checks(
    [AnomalyDetector(Autoencoder(VAE(latent_dim=2, likelihood="gaussian", network=SMALL), epochs=2), random_state=0)]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_the_share_that_was_asked_is_anomalous(digits, of_threes):
    X, y = digits
    threes = X[y == 3]
    detector = AnomalyDetector(of_threes, contamination=0.1).fit(threes[:100])
    assert (detector.predict(threes[:100]) == -1).sum() == 10
    assert detector.autoencoder_ is of_threes, "a fitted one is used as it is"
    others = X[y != 3][:300]
    assert (detector.predict(others) == -1).mean() > 0.8
    assert np.median(detector.p_values(others, threes[100:])) < 0.1


def test_settings_are_refused_in_a_sentence(digits):
    X = digits[0][:40]
    with pytest.raises(InputError, match="contamination is 0; expected a number above 0"):
        AnomalyDetector(contamination=0).fit(X)
    with pytest.raises(InputError, match="a conditional autoencoder wants the label"):
        AnomalyDetector(Autoencoder(CVAE())).fit(X)


def test_grey_images_are_scored_by_patches_whatever_learned_them():
    """Also of a SimCLR of drawings, whose neighbours nobody measured."""
    model = SimCLR(4, Network("conv(4, 3, gelu) mean()", "dense(out)"), appearance=0.0)
    images = (load_digits().images[:40] * 15).astype(np.uint8)
    grey = Autoencoder(model, epochs=1, random_state=0).fit(images)
    assert way_for(grey).__name__ == "ByPatches"
    colours = Autoencoder(model, epochs=1, random_state=0).fit(np.repeat(images[..., None], 3, axis=3))
    assert way_for(colours).__name__ == "ByNeighbours"
