"""The page in headless Chromium: what a person sees and does, held against the estimator."""

import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from latently.cli.main import main
from latently.data import read_labels
from latently.explorer.layers import Writer
from latently.explorer.scene import to_bytes
from latently.explorer.static import write_static
from latently.models import CVAE, FeedForward, SimCLR
from latently.models.networks import Network, Trunk
from latently.models.vae import VAE

pytestmark = pytest.mark.slow  # a browser, two to nine seconds a test

OF_CANVAS = """([selector, place]) => {
  const canvas = document.querySelectorAll(selector)[place];
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const reds = Array.from({ length: data.length / 4 }, (_, i) => data[4 * i]);
  return [canvas.height, reds];
}"""


@pytest.fixture
def visit(browser, served):
    """The page of a run of a name, open and ready; what it asked for and what it complained of, in `.heard`."""
    contexts = []

    def go(name, address=None, query="", **options):
        there = None if address else served(name)
        context = browser.new_context(**({"viewport": {"width": 1280, "height": 800}} | options))
        contexts.append(context)
        page = context.new_page()
        page.heard = []
        page.on("console", lambda message: page.heard.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: page.heard.append(str(error)))
        page.asked = []
        page.on("request", lambda request: page.asked.append(request.url))
        page.served, page.address = there, address or there.address
        page.goto(page.address + query)
        page.wait_for_selector("html[data-ready]")
        return page

    yield go
    for context in contexts:
        for page in context.pages:
            assert page.heard == [], "the browser's console has errors"
            own = (page.address, f"blob:{page.address}")
            assert [url for url in page.asked if not url.startswith(own)] == [], "the page asked another origin"
        context.close()


def picture(page, canvas, place=0):
    """(H, W) bytes of a canvas, by its selector."""
    height, reds = page.evaluate(OF_CANVAS, [canvas, place])
    return np.array(reds).reshape(height, -1)


def assert_same(page, canvas, want, place=0):
    """Waits until the canvas shows these bytes, to one grey level."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        off = np.abs(picture(page, canvas, place).astype(int) - want.astype(int)).max()
        if off <= 1:
            return
        time.sleep(0.02)
    raise AssertionError(f"{canvas} is off by {off} grey levels")


def place_on_screen(page, place):
    """Where a place of the plane lies in the window."""
    box = page.locator("#overlay").bounding_box()
    x, y = page.evaluate("(place) => explorer.map.pixelAt(place)", place)
    return box["x"] + x, box["y"] + y


def hover(page, across, down):
    """Moves the pointer to a share of the map's width and height. -> the place there, in the plane"""
    box = page.locator("#overlay").bounding_box()
    x, y = round(box["x"] + across * box["width"]), round(box["y"] + down * box["height"])
    page.mouse.move(x, y)
    return page.evaluate("([x, y]) => explorer.map.placeAt(x, y)", [x - box["x"], y - box["y"]])


def place_of(page, point):
    return page.evaluate("(point) => explorer.map.placeOf(point)", int(point))


def until(page, expression, arg=None, seconds=10):
    """Waits until JavaScript, an expression or a function of `arg`, is true.

    Playwright's own wait would use `eval` in the page, which the page's policy forbids.
    """
    deadline = time.monotonic() + seconds
    while not page.evaluate(expression, arg):
        assert time.monotonic() < deadline, f"{expression} did not come true"
        time.sleep(0.02)


def caption_begins(page, words):
    until(page, "(words) => document.getElementById('decoded-caption').textContent.startsWith(words)", words)


def pick(page, point):
    """Picks an image as a click on its thumbnail does."""
    page.evaluate("(point) => explorer.click(null, point, false)", int(point))


def of(page, name):
    value = page.evaluate("(name) => { const v = explorer.state.get(name); return v && Array.from(v); }", name)
    return np.array(value, dtype=np.float32)


def test_the_page_loads_quietly_and_asks_nobody_else(visit):
    page = visit("plane")
    assert page.title() == "VAE on digits · latently explorer"
    assert page.evaluate("explorer.map.axes") == ["dimension 0", "dimension 1"]
    assert len(page.asked) > 10, "nothing was heard of what the page asks"


def test_hovering_decodes_what_the_server_decodes(visit):
    """The code is the place itself, as the code has two dimensions, and the picture is the decoder's."""
    page = visit("plane")
    estimator = page.served.scene.encoder
    for share in (0.3, 0.75):
        place = hover(page, share, 0.4)
        until(
            page, "(place) => explorer.state.get('shown').every((value, k) => Math.abs(value - place[k]) < 1e-5)", place
        )
        assert_same(page, "#decoded", to_bytes(estimator.inverse_transform(of(page, "shown")[None])[0]))


def test_the_pointer_shows_the_image_below_it_and_a_click_its_neighbours(visit):
    page = visit("vae")
    scene = page.served.scene
    box = page.locator("#overlay").bounding_box()
    inside = [
        point for point in range(200)
        if all(20 < v < s - 20 for v, s in zip(np.subtract(place_on_screen(page, place_of(page, point)),
               (box["x"], box["y"])), (box["width"], box["height"]), strict=True))
    ]  # fmt: skip
    page.mouse.move(*place_on_screen(page, place_of(page, inside[0])))
    page.wait_for_selector("#hover[data-point]")
    hovered = int(page.locator("#hover").get_attribute("data-point"))
    distance = np.hypot(*np.subtract(place_of(page, hovered), place_of(page, inside[0])))
    assert distance * page.evaluate("explorer.map.view.scale") <= 1.5, "another point was nearer to the pointer"
    page.mouse.click(*place_on_screen(page, place_of(page, inside[0])))
    picked = hovered
    until(page, "document.querySelectorAll('#near [data-point]').length === 12")
    assert_same(page, "#picked", scene.images.images[picked])
    assert_same(page, "#decoded", to_bytes(scene.encoder.inverse_transform(scene.codes[[picked]])[0]))
    near = [int(thumb.get_attribute("data-point")) for thumb in page.locator("#near [data-point]").all()]
    assert near == [p for p in scene.neighbours(scene.codes[picked], 13)[0].tolist() if p != picked][:12]


def test_filtering_by_label_shows_the_right_images(visit):
    page = visit("plane")
    labels = page.served.scene.images.labels
    page.click("#legend [data-class='3']")
    visible = of(page, "visible").astype(bool)
    np.testing.assert_array_equal(visible, labels == 3)
    until(page, "Array.from(document.querySelectorAll('#some [data-point]')).every((e) => e.title.includes('label 3'))")
    for point in np.flatnonzero(labels != 3)[:3]:  # a hidden point is not found, however near
        found = page.evaluate("(p) => explorer.map.nearest(explorer.map.placeOf(p), 1, Infinity)[0].point", int(point))
        assert labels[found] == 3
    page.click("#legend [data-class='3']")
    assert of(page, "visible").all()


def test_sliders_decode_and_follow(visit):
    page = visit("vae")
    estimator = page.served.scene.encoder
    page.click("#tab-sliders")
    pick(page, 4)
    assert_same(page, "#decoded", to_bytes(estimator.inverse_transform(page.served.scene.codes[[4]])[0]))
    first = page.locator(".slider input").first
    index = int(first.get_attribute("id").removeprefix("dimension-"))
    assert index == page.served.scene.about["dimensions"][0]["index"], "the most active one does not come first"
    first.evaluate("(input) => { input.value = 1.7; input.dispatchEvent(new Event('input')); }")
    code = page.served.scene.codes[4].copy()
    code[index] = 1.7
    assert_same(page, "#decoded", to_bytes(estimator.inverse_transform(code[None])[0]))
    page.click("#reset")
    mean = page.served.scene.codes.mean(0, keepdims=True)
    assert_same(page, "#decoded", to_bytes(estimator.inverse_transform(mean)[0]))
    page.click("#draw")
    until(page, "document.getElementById('decoded-caption').textContent.includes('prior')")
    drawn = of(page, "code")
    assert np.abs(drawn - mean).max() > 0.05
    assert_same(page, "#decoded", to_bytes(estimator.inverse_transform(drawn[None])[0]))


def test_samples_come_from_the_learned_prior_and_so_do_others_like_an_image(visit):
    page = visit("prior")
    scene = page.served.scene
    prior = scene.encoder.prior_

    def shows(sheet, codes):
        for place in (0, 17):
            assert_same(page, f"{sheet} canvas", to_bytes(scene.encoder.inverse_transform(codes[[place]])[0]), place)

    page.click("#tab-samples")
    until(page, "document.querySelectorAll('#drawn canvas').length === 18")
    shows("#drawn", prior.sample(18, 0, None, 1.5))
    page.select_option("#sample-class", label="7")
    slide(page, "#guidance", 3)
    shows("#drawn", prior.sample(18, 0, 7, 3.0))
    page.click("#new-samples")
    drawn = prior.sample(18, 1, 7, 3.0)
    shows("#drawn", drawn)
    page.locator("#drawn button").nth(2).click()
    np.testing.assert_allclose(of(page, "code"), drawn[2], atol=1e-6)
    shows("#alike", prior.variations(drawn[[2]], 18, 0, 7)[0])
    pick(page, 4)
    code, label = scene.codes[[4]], scene.images.label_names[4]
    shows("#alike", prior.variations(code, 18, 0, label)[0])
    slide(page, "#strength", 0)
    shows("#alike", np.repeat(code, 18, axis=0))


def slide(page, selector, value):
    page.locator(selector).evaluate(
        "(input, value) => { input.value = value; input.dispatchEvent(new Event('input')); }", value
    )


def test_between_two_images_lies_a_straight_line_of_codes(visit):
    page = visit("vae")
    scene = page.served.scene
    page.click("#tab-between")
    for place, point in enumerate((3, 11)):
        pick(page, point)
        until(page, "(p) => explorer.state.get('picked') === p", point)
        page.click(f"#take-{place}")
    until(page, "document.querySelectorAll('#strip canvas').length === 9")
    for step in (0, 3, 8):
        code = (1 - step / 8) * scene.codes[3] + step / 8 * scene.codes[11]
        assert_same(page, "#strip canvas", to_bytes(scene.encoder.inverse_transform(code[None])[0]), step)
    page.click("#play")
    before = page.locator("#panel-between input[type=range]").input_value()
    until(page, "(b) => document.querySelector('#panel-between input[type=range]').value !== b", before)
    page.click("#play")


def test_a_learned_prior_leads_from_one_image_to_the_other(visit):
    page = visit("prior")
    scene = page.served.scene
    labels = scene.images.label_names
    alike = int(np.flatnonzero(labels == labels[3])[-1])
    apart = int(np.flatnonzero(labels != labels[3])[0])

    def shows(codes):
        for step in (0, 3, 4, 8):
            assert_same(page, "#strip canvas", to_bytes(scene.encoder.inverse_transform(codes[[5 * step]])[0]), step)

    page.click("#tab-between")
    for place, point in enumerate((3, alike)):
        pick(page, point)
        until(page, "(p) => explorer.state.get('picked') === p", point)
        page.click(f"#take-{place}")
    until(page, "document.querySelectorAll('#strip canvas').length === 9")
    for to, told in ((alike, labels[[3]]), (apart, None)):
        pick(page, to)
        until(page, "(p) => explorer.state.get('picked') === p", to)
        page.click("#take-1")
        shows(scene.encoder.prior_.paths(scene.codes[[3]], scene.codes[[to]], 41, told)[0])
    page.check("#straight")
    shows(np.linspace(scene.codes[3], scene.codes[apart], 41))


def test_the_label_switch_decodes_under_another_class(visit):
    page = visit("cvae")
    scene = page.served.scene
    pick(page, 5)
    page.click("#tab-classes")
    until(page, "explorer.state.get('picked') === 5")
    for name in ("2", "8"):
        page.click(f"[data-told='{name}']")
        assert_same(page, "#decoded", to_bytes(scene.encoder.inverse_transform(scene.codes[[5]], name)[0]))
    until(page, "document.querySelectorAll('#analogies canvas').length === 10")
    page.evaluate("document.querySelectorAll('#analogies canvas').forEach((c, i) => (c.id = `class-${i}`))")
    under = scene.encoder.inverse_transform(np.repeat(scene.codes[[5]], 10, axis=0), list("0123456789"))
    for klass in (0, 9):
        assert_same(page, f"#class-{klass}", to_bytes(under[klass]))


def test_a_denoiser_shows_noisy_and_clean_side_by_side(visit):
    page = visit("dae")
    scene = page.served.scene
    page.click("#tab-noise")
    level = page.locator("#noise-level")
    level.evaluate("(input) => { input.value = 0.25; input.dispatchEvent(new Event('input')); }")
    noisy = scene.encoder.corrupt(scene.images.images[:1], 0.25, 0)
    assert_same(page, "#noise-clean", scene.images.images[0])
    assert_same(page, "#noise-noisy", to_bytes(noisy[0]))
    assert_same(page, "#noise-rebuilt", to_bytes(scene.encoder.denoise(noisy)[0]))


def draw_a_one(page):
    box = page.locator("#pad").bounding_box()
    x, y, side = box["x"], box["y"], box["width"]
    page.mouse.move(x + 0.55 * side, y + 0.15 * side)
    page.mouse.down()
    page.mouse.move(x + 0.47 * side, y + 0.85 * side, steps=15)
    page.mouse.up()


@pytest.mark.slow
def test_a_drawn_one_is_a_one(visit, has_mnist):
    """By a few-label run on MNIST, in the browser; and where the drawing lies on the map is where its code says."""
    if not has_mnist:
        pytest.skip("MNIST is not in the cache")
    page = visit("mnist")
    page.click("#tab-pad")
    draw_a_one(page)
    page.wait_for_selector("#pad-classes li")
    until(page, "document.querySelectorAll('#pad-near canvas').length === 12")
    page.wait_for_timeout(200)
    assert page.locator("#pad-classes li").first.get_attribute("data-class") == "1"
    seen = picture(page, "#pad-seen")
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    assert len(rows) == 20, "the drawing does not fill 20 of 28 pixels, as MNIST's digits do"
    assert (seen.sum(0) @ np.arange(28) / seen.sum(), rows.mean()) == pytest.approx((13.5, 13.5), abs=0.6)
    assert len(columns) < 10
    np.testing.assert_allclose(of(page, "drawn"), page.served.scene.encode(seen[None].astype(np.uint8))[0], atol=1e-5)


def lasso(page, points):
    """Around the places of some points, with the lasso's mode."""
    places = np.array([place_on_screen(page, place_of(page, point)) for point in points])
    (left, top), (right, bottom) = places.min(0) - 8, places.max(0) + 8
    page.click("#mode-lasso")
    page.mouse.move(left, top)
    page.mouse.down()
    for corner in ((right, top), (right, bottom), (left, bottom), (left, top + 1)):
        page.mouse.move(*corner, steps=4)
    page.mouse.up()
    page.click("#mode-move")


def test_lasso_keys_undo_reload_export_and_import(visit, tmp_path):
    page = visit("plane")
    scene, kept = page.served.scene, page.served.labels
    page.click("#tab-label")
    lasso(page, [0, 1])
    selected = of(page, "selection").astype(int)
    positions = scene.codes
    low, high = positions[[0, 1]].min(0), positions[[0, 1]].max(0)
    within = np.flatnonzero(((positions >= low) & (positions <= high)).all(1))
    assert set(within) <= set(selected), "the lasso misses points that it encloses"
    page.keyboard.press("7")
    until(page, "explorer.labels.count > 0")
    assert kept.labels == dict.fromkeys(selected.tolist(), "7")

    pick(page, 3)
    until(page, "explorer.state.get('selection')[0] === 3")
    page.fill("#label-name", "a zero, of sorts")
    page.keyboard.press("Enter")
    until(page, "explorer.labels.of(3) === 'a zero, of sorts'")
    assert kept.labels[3] == "a zero, of sorts"
    page.click("#undo")
    until(page, "explorer.labels.of(3) !== 'a zero, of sorts'")
    assert kept.labels == dict.fromkeys(selected.tolist(), "7")

    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert page.evaluate("explorer.labels.count") == len(selected), "a reload loses labels"
    page.click("#tab-label")
    with page.expect_download() as download:
        page.click("#export")
    file = tmp_path / "exported.csv"
    download.value.save_as(file)
    assert (read_labels(file, scene.all_images).labels >= 0).sum() == len(selected)

    file.write_text("image,label\n0,zero\n1,one\n")
    page.set_input_files("#import", file)
    until(page, "explorer.labels.of(0) === 'zero' && explorer.labels.of(1) === 'one'")
    assert kept.labels[1] == "one"


def test_proposals_are_labelled_one_after_another(visit):
    page = visit("plane")
    page.click("#tab-label")
    page.click("#by-clusters")
    until(page, "document.querySelectorAll('#proposed canvas').length === 20")
    proposed = [int(thumb.get_attribute("data-point")) for thumb in page.locator("#proposed [data-point]").all()]
    for place, key in enumerate("172"):
        until(page, "(p) => explorer.state.get('selection')[0] === p", proposed[place])
        page.keyboard.press(key)
        until(page, "(n) => document.querySelectorAll('#proposed canvas').length === n", 19 - place)
    assert page.served.labels.labels == dict(zip(proposed, "172", strict=False))


def test_proposals_are_skipped_taken_back_and_go_on(visit):
    page = visit("plane")
    page.click("#tab-label")
    page.click("#by-clusters")
    points = "Array.from(document.querySelectorAll('#proposed [data-point]'), (e) => Number(e.dataset.point))"
    until(page, f"{points}.length === 20")
    first, second, third = page.evaluate(points)[:3]
    selected = "(p) => explorer.state.get('selection')[0] === p"
    until(page, selected, first)
    page.keyboard.press("s")
    until(page, selected, second)
    page.keyboard.press("4")
    until(page, selected, third)
    page.keyboard.press("Control+z")
    until(page, selected, second)
    assert page.served.labels.labels == {}
    rest = page.evaluate(points)
    assert rest[0] == second
    page.evaluate("(points) => explorer.select(points)", rest)
    page.keyboard.press("4")
    until(page, f"{points}.length === 20", seconds=20)
    assert first not in page.evaluate(points), "what was skipped is proposed again"


def test_the_oddest_come_first_and_keys_say_odd_or_fine(visit):
    page = visit("plane")
    order = page.served.scene.scores.argsort(kind="stable")
    page.select_option("#colouring", "odd")
    until(page, "explorer.colouring.bands")
    page.click('[data-class="1 % oddest"]')
    assert set(np.flatnonzero(of(page, "visible"))) == set(order[: len(order) // 100 + (len(order) % 100 > 0)])
    page.click("#tab-label")
    page.click("#by-odd")
    until(page, "document.querySelectorAll('#proposed canvas').length === 20")
    for place, key in enumerate("of"):
        until(page, "(p) => explorer.state.get('selection')[0] === p", int(order[place]))
        page.keyboard.press(key)
        until(page, "(n) => explorer.labels.count === n", place + 1)
    assert page.served.labels.labels == {int(order[0]): "odd", int(order[1]): "fine"}


def test_a_group_gets_a_name_and_with_it_all_its_images(visit, run_of, scene_of):
    run = run_of("plane")
    if not (run / "groups").exists():
        assert main(["cluster", str(run), "--space", "codes", "--groups", "4"]) == 0
    scene = scene_of("plane")
    for name in ("groups", "about"):
        scene.__dict__.pop(name, None)  # they were computed before there were groups
    page = visit("plane")
    page.select_option("#colouring", "group")
    page.click('[data-class="group 2"]')
    page.click("#tab-label")
    page.click("#select-shown")
    page.fill("#label-name", "twos, mostly")
    page.keyboard.press("Enter")
    members = {point for point, group in enumerate(scene.groups) if group == "group 2"}
    until(page, "(n) => explorer.labels.count === n", len(members))
    assert page.served.labels.labels == dict.fromkeys(members, "twos, mostly")


def test_another_tabs_labels_arrive(visit):
    page = visit("plane")
    page.served.labels.change([("9", np.array([42]))], page.served.scene.shown)
    until(page, "explorer.labels.of(42) === '9'")


VIEW = """
  const { map } = explorer, [left, top] = map.placeAt(0, 0);
  const [right, bottom] = map.placeAt(map.plot.clientWidth, map.plot.clientHeight);
  map.points.draw({ left, right, bottom, top }, 6);
  const { width, height } = map.points.canvas;
"""
DRAWN = {
    "webgl": VIEW + """const pixels = new Uint8Array(4 * width * height), { gl } = map.points;
        gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
        const at = ([x, y]) => 4 * ((height - 1 - Math.round(y)) * width + Math.round(x));""",
    "canvas": VIEW + """const pixels = map.points.canvas.getContext("2d").getImageData(0, 0, width, height).data;
        const at = ([x, y]) => 4 * (Math.round(y) * width + Math.round(x));""",
}  # fmt: skip


@pytest.mark.parametrize("renderer", DRAWN)
def test_both_renderers_draw_each_point_at_its_place_in_its_colour(visit, renderer):
    page = visit("plane", query=f"?points={renderer}")
    assert page.evaluate("explorer.map.points.name.toLowerCase()") == renderer
    colours = np.array(page.evaluate(
        f"() => {{ {DRAWN[renderer]}; return Array.from({{ length: 1797 }}, (_, point) => {{"
        "const place = at(map.pixelAt(map.placeOf(point)));"
        "const colour = map.colours[map.classes[point]].map((part) => 255 * part);"
        "return [...pixels.slice(place, place + 4), ...colour]; }); }"
    ))  # fmt: skip
    seen, wanted = colours[:, :3], colours[:, 4:]
    assert (colours[:, 3] > 0).mean() > 0.99, "there are points where nothing is drawn"
    # points hide each other, but most are seen in a colour near their own
    assert (np.abs(seen - wanted).max(1) < 60).mean() > 0.5


def test_where_few_points_are_in_view_their_images_stand_in_their_places(visit):
    page = visit("plane")
    shown = "explorer.map.thumbnails.shown"
    assert page.evaluate(f"{shown}.length") == 0, "among all images no point is an image"
    x, y = place_on_screen(page, place_of(page, 9))
    page.mouse.move(x, y)
    page.asked.clear()
    for _ in range(5):
        page.mouse.wheel(0, -200)  # twice as near each time
    until(page, f"{shown}.includes(9)")
    in_view = page.evaluate("""() => {
        const { map } = explorer, inside = ([x, y]) =>
            x >= 0 && y >= 0 && x <= map.plot.clientWidth && y <= map.plot.clientHeight;
        return Array.from({ length: 1797 }, (_, point) => point).filter((p) => inside(map.pixelAt(map.placeOf(p))));
    }""")
    assert sorted(page.evaluate(shown)) == in_view, "an image is missing, or of a point out of view"
    assert 1 < len(in_view) <= 150
    drawn_from = [url for url in page.asked if url.endswith("api/images")]
    assert len(drawn_from) <= 4, "images come one by one"
    page.evaluate("explorer.map.setVisible(Uint8Array.from({ length: 1797 }, (_, point) => Number(point === 9)))")
    until(page, f"{shown}.length === 1")
    seen = page.evaluate("""() => {
        const { map } = explorer, [left, top, width, height] = map.thumbnails.box(9);
        const at = (x, y) => map.overlay.getContext("2d").getImageData(x, y, 1, 1).data[0];
        return Array.from({ length: 64 }, (_, i) =>
            at(left + (width / 8) * ((i % 8) + 0.5), top + (height / 8) * (Math.floor(i / 8) + 0.5)));
    }""")
    np.testing.assert_allclose(np.reshape(seen, (8, 8)), page.served.scene.pixels(np.array([9]))[0], atol=1)
    page.evaluate("explorer.map.setVisible(new Uint8Array(1797).fill(1)); explorer.map.fit()")
    until(page, f"{shown}.length === 0")


def test_two_dimensions_of_a_wide_code_decode_about_the_code_shown(visit):
    page = visit("vae")
    page.select_option("#plane", "dimensions")
    until(page, "explorer.state.get('plane').name === 'dimensions'")
    pick(page, 9)
    until(page, "explorer.state.get('picked') === 9")
    x, y = page.evaluate("explorer.state.get('plane').axes")
    code = page.evaluate("explorer.codeAt([0.5, -0.5]).then((code) => Array.from(code))")
    want = page.served.scene.codes[9].copy()
    want[[x, y]] = 0.5, -0.5
    np.testing.assert_allclose(code, want, atol=1e-5)


def test_on_a_curved_plane_a_place_has_the_codes_around_it(visit):
    """At a point it is that point's own code; elsewhere one within the range of its neighbours'."""
    page = visit("vae")
    page.evaluate("explorer.state.set('plane', { ...explorer.state.get('plane'), frame: null })")
    at = "explorer.codeAt(place).then((code) => Array.from(code))"
    codes = page.served.scene.codes
    code = page.evaluate(f"(place) => {at}", place_of(page, 5))
    np.testing.assert_allclose(code, codes[5], atol=1e-3)
    between = (np.array(place_of(page, 5)) + place_of(page, 6)) / 2
    code = page.evaluate(f"(place) => {at}", between.tolist())
    assert ((codes.min(0) <= code) & (code <= codes.max(0))).all()


def test_everything_is_reached_by_keys_and_named(visit):
    page = visit("few")
    nameless = page.evaluate(
        "Array.from(document.querySelectorAll('button, select, input, canvas[role]')).filter((e) => {"
        "const named = e.getAttribute('aria-label') || e.textContent.trim() || (e.labels && e.labels.length);"
        "return !named; }).map((e) => e.outerHTML.slice(0, 80))"
    )
    assert nameless == []
    page.focus("#tab-look")
    page.keyboard.press("ArrowRight")
    assert page.locator("#tab-sliders").get_attribute("aria-selected") == "true"
    page.focus("#overlay")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    caption_begins(page, "Decoded at")
    page.keyboard.press("Enter")
    until(page, "explorer.state.get('picked') !== null")


def test_tab_reaches_every_control_and_shows_where_it_is(visit):
    page = visit("cvae")
    reached = set()
    for tab in ("sliders", "between", "pad", "label"):
        page.click(f"#tab-{tab}")
        page.focus("#plane")
        for _ in range(200):
            focused = page.evaluate(
                "(() => { const e = document.activeElement, s = getComputedStyle(e.closest('.button') ?? e);"
                "e.dataset.reached = '';"
                "return [e.id || e.outerHTML.slice(0, 60), s.outlineStyle, e === document.body]; })()"
            )
            if focused[2]:
                break
            reached.add(focused[0])
            assert focused[1] != "none" or focused[0] == "plane", f"no focus is seen on {focused[0]}"
            page.keyboard.press("Tab")
        missed = page.evaluate(
            "Array.from(document.querySelectorAll('main :is(button, select, input, [tabindex=\"0\"])'))"
            ".filter((e) => e.offsetParent && !e.disabled && e.tabIndex >= 0 && !('reached' in e.dataset))"
            ".map((e) => e.outerHTML.slice(0, 80))"
        )
        assert missed == [], f"Tab does not reach these of {tab}"
    assert {"overlay", "pad", "import", "take-1"} <= reached


def test_a_finger_points_and_two_zoom(visit):
    page = visit("vae", viewport={"width": 375, "height": 700}, has_touch=True, is_mobile=True)
    box = page.locator("#overlay").bounding_box()
    touches = page.context.new_cdp_session(page)

    def touch(kind, *places):
        points = [{"x": box["x"] + x, "y": box["y"] + y, "id": i} for i, (x, y) in enumerate(places)]
        touches.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})

    before = page.evaluate("explorer.map.view")
    touch("Start", (100, 120))
    for x in range(110, 200, 10):
        touch("Move", (x, 150))
    touch("End")
    assert page.evaluate("explorer.map.view") == before, "the map moved below the finger"
    place = page.evaluate("explorer.map.placeAt(190, 150)")
    until(page, "document.getElementById('decoded-caption').textContent.startsWith('Decoded at')")
    want = page.evaluate("(place) => explorer.codeAt(place).then((code) => Array.from(code))", place)
    until(page, "(want) => explorer.state.get('shown').every((v, k) => Math.abs(v - want[k]) < 0.05)", want)
    touch("Start", (100, 100), (150, 150))
    touch("Move", (80, 80), (200, 200))
    touch("End")
    assert page.evaluate("explorer.map.view.scale") > before["scale"] * 1.5


def test_a_phone_scrolls_down_and_never_sideways(visit):
    page = visit("vae", viewport={"width": 375, "height": 700}, has_touch=True, is_mobile=True)
    for tab in ("look", "sliders", "between", "pad", "label"):
        page.click(f"#tab-{tab}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 375, f"{tab} is wider than the phone"
    page.tap("#overlay")
    caption_begins(page, "Decoded")


# Without a server


def test_files_decode_without_a_server(visit, scene_of, tmp_path, monkeypatch):
    """From a folder, through a route that answers for its files alone: no server, no network."""
    scene = scene_of("few")
    write_static(scene, tmp_path / "page")
    page = visit_folder(visit, tmp_path / "page")
    pick(page, 5)
    assert_same(page, "#decoded", to_bytes(scene.encoder.inverse_transform(scene.codes[[5]])[0]))
    hover(page, 0.6, 0.6)
    caption_begins(page, "Decoded at")
    image = scene.images.images[8]
    code = page.evaluate(
        "(p) => explorer.source.encode(Uint8Array.from(p)).then((c) => Array.from(c))", image.ravel().tolist()
    )
    np.testing.assert_allclose(code, scene.codes[8], atol=1e-4)
    p = page.evaluate(
        "(p) => explorer.source.classify(Uint8Array.from(p)).then((c) => Array.from(c))", image.ravel().tolist()
    )
    np.testing.assert_allclose(p, scene.few.predict_proba(image[None])[0], atol=1e-4)
    page.click("#tab-label")
    page.keyboard.press("4")
    until(page, "explorer.labels.of(5) === '4'")
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert page.evaluate("explorer.labels.of(5)") == "4", "this browser forgot a label"
    with page.expect_download() as download:
        page.click("#tab-label")
        page.click("#export")
    assert Path(download.value.path()).read_text() == "image,label\n5,4\n"


def test_a_page_of_files_says_that_it_cannot_draw_from_the_learned_prior(visit, scene_of, tmp_path):
    write_static(scene_of("prior"), tmp_path / "page")
    page = visit_folder(visit, tmp_path / "page")
    page.click("#tab-samples")
    assert "latently explore RUN can" in page.locator("#panel-samples").inner_text()


def visit_folder(visit, folder):
    """A page of plain files, by Python's own file server."""
    import functools
    import http.server
    import threading

    quiet = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return visit("files", address=f"http://127.0.0.1:{server.server_address[1]}/")


NETWORKS = {
    "every size odd": VAE(5, Network("conv(4, 3, stride=2) pool(2) conv(6, 4, silu) dense(20, elu)")),
    "transposed": VAE(3, Network("dense(9, tanh)", "dense(48) reshape(3, 4, 4) deconv(5, 5, gelu, stride=2, size=7) "
                                 "deconv(out, 3, stride=2, size=13)")),
    "activations": VAE(4, Network("dense(8, leaky_relu) dense(8, softplus) dense(8, sigmoid)"), "gaussian"),
    "told as planes": CVAE(3, Network("conv(4, 3, stride=2)")),
    "told as values": CVAE(3, Network("dense(12)")),
    "valid": VAE(3, Network("conv(4, 3, padding=valid) dense(9)")),
    "features": SimCLR(8, network=Network("whiten(2) conv(8, 3, gelu, norm=group) residual(8, norm=weight) pool(2) "
                                          "residual(16, stride=2) mean()")),
    "a classifier": FeedForward(Trunk("conv(4, 5) pool(3) dense(16, dropout=0.5)")),
}  # fmt: skip


@pytest.fixture(scope="module")
def blank_page(browser, tmp_path_factory):
    """A page of the explorer's modules alone."""
    import latently.explorer

    folder = tmp_path_factory.mktemp("modules")
    shutil.copytree(Path(latently.explorer.__file__).parent / "page", folder, dirs_exist_ok=True)
    (folder / "index.html").write_text("<!doctype html><html data-ready>")
    contexts = []

    def go(name, address):
        context = browser.new_context()
        contexts.append(context)
        page = context.new_page()
        page.goto(address)
        return page

    yield visit_folder(go, folder)
    for context in contexts:
        context.close()


@pytest.mark.parametrize("name", NETWORKS)
def test_the_browser_runs_every_layer_as_torch_does(blank_page, name):
    import torch

    model, shape = NETWORKS[name], (3, 13, 13)
    torch.manual_seed(0)
    net = model.build(shape, 10).eval()
    if name == "features":
        net.appearance.learn(torch.rand(40, *shape))
    writer = Writer()
    y = (torch.tensor([7]),) if model.takes_labels else ()
    trials = (
        [(net.encoder, torch.rand(1, *shape)), (net.decoder, torch.randn(1, model.latent_dim))]
        if hasattr(net, "encoder")
        else [(torch.nn.Sequential(net.trunk, net.head), torch.rand(1, *shape))]
    )
    for part, x in trials:
        has_two_parts = part is getattr(net, "encoder", None) and hasattr(net, "appearance")
        adds = name == "features" and part is net.decoder
        layers = writer.encoder(net) if has_two_parts else writer.decoder(net, model) if adds else writer.layers(part)
        with torch.no_grad():
            made = model.encode(net, x).mean if has_two_parts else model.decode(net, x).logits if adds else part(x, *y)
            want = made[0].flatten().numpy()
        got = blank_page.evaluate(
            "async ([layers, weights, x, shape, klass]) => { const { run } = await import('./network.js');"
            "return Array.from(run(layers, Float32Array.from(weights), Float32Array.from(x), shape, klass)); }",
            json.loads(json.dumps([layers, writer.weights.tolist(), x[0].flatten().tolist(), list(x.shape[1:]), 7])),
        )
        np.testing.assert_allclose(got, want, atol=1e-5, err_msg=f"{name}: {[layer['kind'] for layer in layers]}")
