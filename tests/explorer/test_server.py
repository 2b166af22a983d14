"""What the server answers, what it refuses, and that it lives on."""

import json
import os
import shlex
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import numpy as np
import pytest
from sklearn.decomposition import PCA
from starlette.testclient import TestClient

from latently import Autoencoder, Network, SimCLR
from latently.analysis.run_images import RunImages
from latently.explorer.guard import LARGEST_BODY
from latently.explorer.proposals import centres, propose
from latently.explorer.saved_labels import LabelFile
from latently.explorer.scene import Scene
from latently.explorer.server import app

HERE = "http://127.0.0.1:8000"


@pytest.fixture
def client_of(scene_of, tmp_path):
    def make(name, **options):
        scene = scene_of(name)
        address = options.pop("address", HERE)
        guarded = app(scene, LabelFile(tmp_path / "labels.csv", scene.all_images), **options)
        return TestClient(guarded, base_url=address, raise_server_exceptions=False)

    return make


def floats(*values):
    return np.array(values, "<f4").tobytes()


def test_the_run_is_described(client_of):
    about = client_of("vae").get("/api/run.json").json()
    assert about["n_points"] == 1797
    assert about["latent_dim"] == 6
    assert sorted(row["index"] for row in about["dimensions"]) == list(range(6))
    activities = [row["activity"] for row in about["dimensions"]]
    assert activities == sorted(activities, reverse=True)
    assert about["prior"] == {"mean": [0.0] * 6, "stddev": [1.0] * 6}
    assert client_of("dae").get("/api/run.json").json()["noise"]["kind"] == "gaussian"
    assert client_of("cvae").get("/api/run.json").json()["told"] == list("0123456789")
    assert client_of("few").get("/api/run.json").json()["predicts"] == list("0123456789")


def test_codes_decode_to_what_the_estimator_decodes(client_of, scene_of):
    scene, client = scene_of("vae"), client_of("vae")
    codes = np.random.default_rng(0).normal(size=(3, 6)).astype("<f4")
    got = np.frombuffer(client.post("/api/decode", content=codes.tobytes()).content, np.uint8).reshape(3, 8, 8)
    want = np.rint(scene.encoder.inverse_transform(codes) * 255)
    assert np.abs(got - want).max() <= 1, "the page's picture is off by more than one grey level"


def test_an_image_is_encoded_as_the_estimator_encodes_it(client_of, scene_of):
    scene, client = scene_of("vae"), client_of("vae")
    image = scene.images.images[7]
    code = np.frombuffer(client.post("/api/encode", content=image.tobytes()).content, "<f4")
    np.testing.assert_allclose(code, scene.codes[7], atol=1e-5)


def test_a_conditional_model_is_told_its_class(client_of, scene_of):
    scene, client = scene_of("cvae"), client_of("cvae")
    code = floats(0.3, -0.2, 1)
    got = np.frombuffer(client.post("/api/decode?class=7", content=code).content, np.uint8).reshape(8, 8)
    want = np.rint(scene.encoder.inverse_transform([[0.3, -0.2, 1]], "7")[0] * 255)
    assert np.abs(got - want).max() <= 1
    assert client.post("/api/decode", content=code).status_code == 400
    assert client.post("/api/decode?class=10", content=code).json()["error"].startswith("classes go from 0 to 9")


def test_a_model_that_infers_classes_needs_no_label_to_show_an_image(client_of, scene_of):
    """Of M2 every image has a code, those without a label by the class that it predicts."""
    scene, client = scene_of("m2"), client_of("m2")
    assert client.get("/api/run.json").json()["told"] == list("0123456789")
    fit = scene.encoder
    hidden = scene.images.unlabelled().images[:20]
    assert fit.transform(hidden).shape == (20, 3)
    labels = scene.images.label_names[:20]
    np.testing.assert_allclose(scene.codes[:20], fit.transform(hidden, labels), atol=1e-5)
    code = np.frombuffer(client.post("/api/encode?class=3", content=hidden[0].tobytes()).content, "<f4")
    np.testing.assert_allclose(code, fit.transform(hidden[:1], ["3"])[0], atol=1e-5)


def test_a_denoiser_gives_noisy_and_rebuilt(client_of, scene_of):
    scene, client = scene_of("dae"), client_of("dae")
    image = scene.images.images[:1]
    sent = client.post("/api/denoise?level=0.3&seed=4", content=image.tobytes()).content
    noisy, rebuilt = np.frombuffer(sent, np.uint8).reshape(2, 8, 8)
    want = scene.encoder.corrupt(image, 0.3, 4)
    assert np.abs(noisy - np.rint(want[0] * 255)).max() <= 1
    assert np.abs(rebuilt - np.rint(scene.encoder.denoise(want)[0] * 255)).max() <= 1


def test_probabilities_are_the_classifiers(client_of, scene_of):
    scene, client = scene_of("few"), client_of("few")
    images = scene.images.images[:5]
    p = np.frombuffer(client.post("/api/classify", content=images.tobytes()).content, "<f4").reshape(5, 10)
    np.testing.assert_allclose(p, scene.few.predict_proba(images), atol=1e-5)
    predicted = np.frombuffer(client.get("/api/predicted.bin").content, "<i4")
    assert predicted[:5].tolist() == p.argmax(1).tolist()


def test_colours_of_any_range_are_shown_on_bytes(tmp_path, latently):
    """Floats from -1 to 1, three channels: 0..255 stands for their range, on the way there and back."""
    images = np.random.default_rng(0).uniform(-1, 1, (60, 6, 5, 3)).astype(np.float32)
    np.save(tmp_path / "colours.npy", images)
    words = shlex.split("train vae --likelihood gaussian --latent-dim 3 --encoder dense(8) --epochs 2")
    assert latently(*words, "--data", tmp_path / "colours.npy", "--out", tmp_path / "run").code == 0
    scene = Scene(RunImages(tmp_path / "run", None, "cpu"))
    pixels = scene.pixels(np.array([0, 7]))
    low, high = images.min(), images.max()
    np.testing.assert_allclose(pixels, (images[[0, 7]] - low) / (high - low) * 255, atol=0.51)
    np.testing.assert_allclose(scene.as_source(pixels), images[[0, 7]], atol=0.005)
    want = (scene.encoder.inverse_transform(scene.codes[:4]) - low) / (high - low) * 255
    np.testing.assert_allclose(scene.decode(scene.codes[:4]), want.clip(0, 255), atol=1)


def test_planes_lead_back_to_codes(client_of, scene_of):
    """Flat planes: of two chosen dimensions the very ones, of principal components the best plane's place."""
    scene, client = scene_of("vae"), client_of("vae")
    n = len(scene.images)
    chosen = np.frombuffer(client.get("/api/plane/dimensions?i=4&j=1").content, "<f4")
    np.testing.assert_array_equal(chosen[: 2 * n].reshape(n, 2), scene.codes[:, [4, 1]])
    flat = np.frombuffer(client.get("/api/plane/pca").content, "<f4")
    positions, frame = flat[: 2 * n].reshape(n, 2), flat[2 * n :].reshape(3, 6)
    back = frame[0] + positions @ frame[1:]
    residual = scene.codes - back
    assert np.abs(residual @ frame[1:].T).max() < 1e-4, "what is left after the way back still lies in the plane"
    assert residual.var(0).sum() < scene.codes.var(0).sum()


def test_neighbours_are_the_nearest_codes(client_of, scene_of):
    scene, client = scene_of("vae"), client_of("vae")
    found = client.post("/api/neighbours?n=5", content=scene.codes[3].astype("<f4").tobytes()).json()
    want = np.argsort(np.linalg.norm(scene.codes - scene.codes[3], axis=1), kind="stable")[:5]
    assert found["points"] == want.tolist()
    assert found["distances"][0] == 0


def test_draws_are_the_learned_priors(client_of, scene_of):
    scene, client = scene_of("prior"), client_of("prior")
    assert client.get("/api/run.json").json()["flow"]["classes"] == list("0123456789")
    assert client_of("vae").get("/api/run.json").json()["flow"] is None
    answer = client.get("/api/samples?n=5&class=7&guidance=2&seed=3")
    codes = np.frombuffer(answer.content, "<f4").reshape(5, 3)
    np.testing.assert_array_equal(codes, scene.encoder.prior_.sample(5, 3, 7, 2.0))
    code = scene.codes[[4]]
    answer = client.post("/api/variations?n=6&class=2&strength=0.3&seed=1", content=code.astype("<f4").tobytes())
    like = np.frombuffer(answer.content, "<f4").reshape(6, 3)
    np.testing.assert_array_equal(like, scene.encoder.prior_.variations(code, 6, 1, 2, 0.3)[0])
    ends = scene.codes[:2]
    answer = client.post("/api/path?n=4&class=2", content=ends.astype("<f4").tobytes())
    way = np.frombuffer(answer.content, "<f4").reshape(4, 3)
    np.testing.assert_array_equal(way, scene.encoder.prior_.paths(ends[:1], ends[1:], 4, ["2"])[0])
    for query, body in (("n=1", floats(*[0] * 6)), ("class=10", floats(*[0] * 6)), ("", floats(0, 0, 0))):
        assert client.post(f"/api/path?{query}", content=body).status_code == 400, query
    for path in ("samples?class=10", "samples?class=1,2", "samples?guidance=-1", "samples?n=0"):
        assert client.get(f"/api/{path}").status_code == 400, path
    for query, body in (("strength=2", floats(0, 0, 0)), ("", floats(0, 0)), ("", floats(0, 0, float("nan")))):
        assert client.post(f"/api/variations?{query}", content=body).status_code == 400, query


def test_the_page_forbids_every_other_origin(client_of):
    answer = client_of("vae").get("/")
    assert answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert client_of("vae").get("/vendor/d3fc-webgl.js").headers["content-type"].startswith("text/javascript")


MALFORMED = {
    "too few bytes": ("POST", "/api/decode", floats(1, 2)),
    "nothing": ("POST", "/api/decode", b""),
    "NaN": ("POST", "/api/decode", floats(*[float("nan")] * 6)),
    "infinite": ("POST", "/api/decode", floats(*[float("inf")] * 6)),
    "huge": ("POST", "/api/decode", floats(*[1e38] * 6)),
    "too many": ("POST", "/api/decode", bytes(4 * 6 * 2000)),
    "NaN among neighbours": ("POST", "/api/neighbours", floats(*[float("nan")] * 6)),
    "a point beyond": ("POST", "/api/images", np.array([5000], "<u4").tobytes()),
    "half an image": ("POST", "/api/encode", bytes(30)),
    "a plane of no name": ("GET", "/api/plane/nowhere", None),
    "a dimension beyond": ("GET", "/api/plane/dimensions?i=0&j=99", None),
    "a dimension that is none": ("GET", "/api/plane/dimensions?i=-1&j=x", None),
    "no classifier": ("POST", "/api/classify", bytes(64)),
    "no learned prior": ("GET", "/api/samples", None),
    "no learned prior to go by": ("POST", "/api/path", floats(*[0] * 12)),
    "no learned prior to vary by": ("POST", "/api/variations", floats(*[0] * 6)),
    "no noise": ("POST", "/api/denoise", bytes(64)),
    "an endless level": ("POST", "/api/denoise?level=inf", bytes(64)),
    "no JSON": ("POST", "/api/labels", b"{"),
    "another JSON": ("POST", "/api/labels", b'{"label": 3}'),
    "deep JSON": ("POST", "/api/labels", b"[" * 100_000),
    "a label that is no text": ("POST", "/api/labels", b'[{"label": 3, "points": [1]}]'),
    "a label too long": ("POST", "/api/labels", json.dumps([{"label": "x" * 200, "points": [1]}]).encode()),
    "a label of two lines": ("POST", "/api/labels", b'[{"label": "a\\nb", "points": [1]}]'),
    "half a letter": ("POST", "/api/labels", b'[{"label": "\\ud800", "points": [1]}]'),
    "points that are none": ("POST", "/api/labels", b'[{"label": "a", "points": [1.5, true, "2"]}]'),
    "a CSV of other images": ("PUT", "/api/labels.csv", b"nobody.png,3\n"),
    "a CSV that is none": ("PUT", "/api/labels.csv", bytes(range(256))),
    "too many proposals": ("GET", "/api/proposals?n=999999", None),
    "another way to propose": ("GET", "/api/proposals?by=magic", None),
    "a path that climbs": ("GET", "/../../etc/passwd", None),
    "a path that climbs in disguise": ("GET", "/vendor/%2e%2e/%2e%2e/scene.py", None),
    "Python's files": ("GET", "/scene.py", None),
    "another method": ("DELETE", "/api/labels", None),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_request_gets_a_sentence_and_the_server_lives(client_of, name):
    method, path, body = MALFORMED[name]
    client = client_of("vae")
    answer = client.request(method, path, content=body)
    assert 400 <= answer.status_code < 500, answer.text
    assert len(answer.json()["error"]) > 10
    assert client.post("/api/decode", content=floats(*[0] * 6)).status_code == 200


def test_a_request_that_is_too_large_is_refused(client_of):
    client = client_of("vae")
    assert client.put("/api/labels.csv", content=bytes(LARGEST_BODY + 1)).status_code == 413
    pieces = (bytes(2**20) for _ in range(9))  # without a length: counted as it comes
    answer = client.put("/api/labels.csv", content=pieces)
    assert answer.status_code == 413
    assert "larger" in answer.json()["error"]


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "evil.example:8000"},
        {"host": "192.168.0.7:8000"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://[no.address"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
    ],
    ids=str,
)
def test_foreign_requests_are_refused(client_of, headers):
    client = client_of("vae")
    answer = client.get("/api/run.json", headers=headers)
    assert answer.status_code == 403
    assert answer.json()["error"]
    assert client.get("/api/run.json", headers={"origin": HERE}).status_code == 200


def test_beyond_this_machine_a_token_is_wanted(client_of):
    client = client_of("vae", host="0.0.0.0", token="secret", address="http://192.168.0.7:8000")
    assert client.get("/").status_code == 403
    assert client.get("/?token=wrong").status_code == 403
    assert client.get("/?token=%C3%A9").status_code == 403
    assert client.get("/", headers={"cookie": b"latently-8000=\xe9"}).status_code == 403
    assert client.get("/?token=secret", follow_redirects=False).headers["location"] == "/"
    assert client.get("/api/run.json").status_code == 200, "the cookie does not carry the token on"
    assert client.get("/api/run.json", headers={"host": "evil.example:8000"}).status_code == 403


# The command


def start(run, *words):
    started = subprocess.Popen(
        [sys.executable, "-m", "latently", "explore", str(run), "--no-open", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    return started, started.stdout.readline().strip()


def post(address, path, body):
    with urllib.request.urlopen(f"{address}{path}", body, timeout=20) as answer:
        return json.loads(answer.read())


@pytest.mark.slow
def test_a_killed_server_has_lost_no_label(run_of, tmp_path):
    kept = tmp_path / "mine.csv"
    server, address = start(run_of("plane"), "--labels", str(kept))
    for point in range(20):
        post(address, "api/labels", json.dumps([{"label": f"{point % 3}", "points": [point]}]).encode())
    server.send_signal(signal.SIGKILL)
    server.wait()
    again, address = start(run_of("plane"), "--labels", str(kept))
    with urllib.request.urlopen(f"{address}api/labels", timeout=20) as answer:
        groups = json.loads(answer.read())["labels"]
    assert {point for group in groups for point in group["points"]} == set(range(20))
    again.send_signal(signal.SIGINT)
    assert again.wait(10) == 0
    assert "Traceback" not in again.stderr.read()


def test_the_second_round_keeps_the_labels_of_the_first(latently, run_of, tmp_path):
    """A run trained on labels from a file begins with them: what its page adds joins them, in a file of its own."""
    given = tmp_path / "given.csv"
    given.write_text("image,label\n" + "".join(f"{image},{'ab'[image % 2]}\n" for image in range(40)))
    words = shlex.split("train few-label --data digits --layers dense(8) --epochs 1")
    run = tmp_path / "run"
    assert latently(*words, "--encoder", run_of("vae"), "--labels", given, "--out", run).code == 0
    server, address = start(run)
    post(address, "api/labels", b'[{"label": "c", "points": [50]}, {"label": "", "points": [0]}]')
    server.kill()
    server.wait()
    lines = (run / "labels.csv").read_text().splitlines()
    assert (len(lines), lines[1], lines[-1]) == (41, "1,b", "50,c")
    assert len(given.read_text().splitlines()) == 41, "the user's own file was written to"
    scene = Scene(RunImages(run, None, "cpu"))
    assert scene.images.classes == tuple("0123456789"), (
        "labels of the file pass for the source's, so none can be taken away"
    )


def test_explore_needs_its_port_before_it_encodes(latently, tmp_path):
    refused = latently("explore", tmp_path / "no-run", "--no-open", "--port", "99999")
    assert (refused.code, "--port is 99999" in refused.err) == (2, True)


def test_explore_wants_a_decoder_and_a_place(latently, run_of, tmp_path):
    classifier = run_of("few") / "classifier"
    assert "has no decoder to explore" in latently("explore", classifier, "--no-open").err
    taken = latently("explore", run_of("vae"), "--no-open", "--host", "203.0.113.1")
    assert taken.code == 2
    assert "cannot listen on 203.0.113.1" in taken.err
    (tmp_path / "others.csv").write_text("cat.png,cat\n")
    others = latently("explore", run_of("vae"), "--no-open", "--labels", tmp_path / "others.csv")
    assert (others.code, others.err.count("--labels")) == (2, 1)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    assert "is not empty" in latently("explore", run_of("vae"), "--static", tmp_path / "full").err
    assert os.listdir(tmp_path / "full") == ["file"]


def test_priors_and_posteriors_of_every_kind(tmp_path):
    """A learned prior is drawn from; where the KL belongs to no dimension, the codes' variance sorts the sliders."""
    from latently import VAE, Autoencoder, HierarchicalVAE, InputError, Network, VampVAE, data
    from latently.analysis.run_images import RunImages
    from latently.explorer.scene import Scene
    from latently.explorer.static import write_static

    digits, small = data.load("digits").images, Network("dense(8)")
    np.save(tmp_path / "digits.npy", digits[:100])
    models = {"vamp": VampVAE(3, small, pseudo_inputs=9), "flow": VAE(3, small, flow_steps=2)}
    models["hierarchical"] = HierarchicalVAE(3, small, pseudo_inputs=9)
    for name, model in models.items():
        Autoencoder(model, epochs=1, random_state=0).fit(digits).save(tmp_path / name)
        scene = Scene(RunImages(tmp_path / name, str(tmp_path / "digits.npy"), "cpu"), 100)
        assert scene.about["activity_unit"] == "variance"
        if name != "flow":
            assert np.array(scene.about["prior"]["draws"]).shape == (256, 3)
        if name != "vamp":
            what = {"flow": "flow posterior", "hierarchical": "two layers"}[name]
            with pytest.raises(InputError, match=f"{what} cannot be exported"):
                write_static(scene, tmp_path / "page")


def test_a_model_with_features_is_mapped_and_labelled_by_them(tmp_path):
    """The plane of features leads to no code, so the page takes those of the points nearby."""
    images = np.random.default_rng(0).integers(0, 256, (50, 16, 16, 3)).astype(np.uint8)
    model = SimCLR(10, appearance=0.2, network=Network("conv(4, 3) pool(2) conv(6, 3) mean()", "dense(out)"))
    encoder = Autoencoder(model, epochs=1, random_state=0).fit(images).save(tmp_path / "run")
    np.save(tmp_path / "images.npy", images)
    scene = Scene(RunImages(tmp_path / "run", str(tmp_path / "images.npy"), "cpu"))
    features = encoder.features(images)
    np.testing.assert_allclose(scene.features, features, atol=1e-5)
    plane = scene.plane("pca")
    assert plane.frame is None
    np.testing.assert_allclose(plane.positions.var(0), PCA(2).fit(features).explained_variance_ * 49 / 50, rtol=1e-3)
    labels = LabelFile(tmp_path / "labels.csv", scene.all_images)
    assert propose("clusters", 4, scene, labels).tolist() == centres(scene.features, 4).tolist()
