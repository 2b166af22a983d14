"""The page over HTTP. Images and codes are sent as raw little-endian numbers, everything else as JSON.

GET  /, /main.js ...            the page's own files
GET  /api/run.json              description and capabilities of the run
GET  /api/plane/NAME?i=&j=      float32: positions (N, 2), then the frame (3, Z) of a linear projection
GET  /api/labels.bin            int32 (N,): the images' own labels; predicted.bin: the classifier's
GET  /api/names.json            the images' names
POST /api/images, /api/codes    uint32 points -> uint8 pixels, float32 codes
POST /api/decode?class=         float32 codes -> uint8 pixels
POST /api/encode?class=         uint8 pixels -> float32 codes
POST /api/classify              uint8 pixels -> float32 probabilities
POST /api/denoise?level=&seed=  uint8 pixels of an image -> uint8 pixels, noisy and rebuilt
GET  /api/samples?n=&class=&guidance=&seed=     float32 codes drawn from the learned prior
POST /api/variations?n=&class=&strength=&seed=  float32 code -> float32 codes like it
POST /api/path?n=&class=        two float32 codes -> float32 codes from one to the other, by the learned prior
POST /api/neighbours?n=         float32 code -> {points, distances}
GET  /api/labels, POST          all labels given here with a revision; changes to them
GET  /api/labels.csv, PUT       the same as a file
GET  /api/proposals?by=&n=      points to label next
"""

import json
import math
import secrets
import socket
import sys
import webbrowser
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import torch
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from latently.common.errors import InputError, require
from latently.explorer import proposals
from latently.explorer.guard import LARGEST_BODY, LOCAL_NAMES, Guard, TooLarge
from latently.explorer.pages import TYPES, page_files
from latently.explorer.saved_labels import LabelFile
from latently.explorer.scene import Scene

MOST_AT_ONCE = 1024  # images or codes per request

Endpoint = Callable[[Request], Awaitable[Response]]


def app(
    scene: Scene, labels: LabelFile, host: str = "127.0.0.1", token: str | None = None, framed_by: str = "'none'"
) -> Guard:
    """The ASGI application of a run. framed_by: which pages may show it in a frame, as the browser's policy says it."""
    api = Api(scene, labels)
    routes = [Route(f"/api/{path}", endpoint, methods=[method]) for method, path, endpoint in api.routes()]
    routes += [page_route(name, content) for name, content in page_files().items()]
    handlers: dict[Any, Any] = {
        InputError: lambda request, error: refusal(400, str(error)),
        TooLarge: lambda request, error: refusal(413, f"the request is larger than {LARGEST_BODY:,} bytes"),
        HTTPException: lambda request, error: refusal(error.status_code, f"{request.url.path}: {error.detail}"),
        ClientDisconnect: lambda request, error: refusal(400, "the browser disconnected"),
        OSError: lambda request, error: refusal(507, f"disk error: {error}"),
    }
    return Guard(Starlette(routes=routes, exception_handlers=handlers), host, token, framed_by)


def page_route(name: str, content: bytes) -> Route:
    kind = next(media for ending, media in TYPES.items() if name.endswith(ending))

    async def send(request: Request) -> Response:
        return Response(content, media_type=kind)

    return Route("/" if name == "index.html" else f"/{name}", send)


def refusal(status: int, sentence: str) -> JSONResponse:
    return JSONResponse({"error": sentence}, status)


class Api:
    """The endpoints: each reads a request, calls the scene or the label file, and answers in bytes or JSON."""

    def __init__(self, scene: Scene, labels: LabelFile) -> None:
        self.scene, self.labels = scene, labels
        self.n_values = math.prod(scene.images.image_shape)
        _ = scene.about  # compute it at the start, before the page requests it

    def routes(self) -> list[tuple[str, str, Endpoint]]:
        return [
            ("GET", "run.json", self.run),
            ("GET", "plane/{name}", self.plane),
            ("GET", "labels.bin", self.own_labels),
            ("GET", "predicted.bin", self.predicted),
            ("GET", "scores.bin", self.scores),
            ("GET", "groups.json", self.groups),
            ("GET", "names.json", self.names),
            ("POST", "images", self.images),
            ("POST", "codes", self.codes),
            ("POST", "decode", self.decode),
            ("POST", "encode", self.encode),
            ("POST", "classify", self.classify),
            ("POST", "denoise", self.denoise),
            ("GET", "samples", self.samples),
            ("POST", "variations", self.variations),
            ("POST", "path", self.path),
            ("POST", "neighbours", self.neighbours),
            ("GET", "labels", self.read_labels),
            ("POST", "labels", self.change_labels),
            ("GET", "labels.csv", self.export_labels),
            ("PUT", "labels.csv", self.import_labels),
            ("GET", "proposals", self.propose),
        ]

    # The run and its points -------------------------------------------------------------------------------------------

    async def run(self, request: Request) -> Response:
        command = self.scene.few_label_command(self.labels.path)
        return JSONResponse(
            self.scene.about | {"static": False, "labels_file": str(self.labels.path), "train_command": command}
        )

    async def plane(self, request: Request) -> Response:
        dims = whole(request, "i", 0), whole(request, "j", 1)
        plane = await run_in_threadpool(self.scene.plane, request.path_params["name"], dims)
        return raw(plane.to_bytes())

    async def own_labels(self, request: Request) -> Response:
        return raw(self.scene.images.labels.astype("<i4"))

    async def predicted(self, request: Request) -> Response:
        return raw((await run_in_threadpool(lambda: self.scene.probabilities)).argmax(1).astype("<i4"))

    async def scores(self, request: Request) -> Response:
        return raw((await run_in_threadpool(lambda: self.scene.scores)).astype("<f4"))

    async def groups(self, request: Request) -> Response:
        return JSONResponse(self.scene.groups or [])

    async def names(self, request: Request) -> Response:
        return JSONResponse(self.scene.names())

    async def images(self, request: Request) -> Response:
        return raw(self.scene.pixels(await self.points(request)))

    async def codes(self, request: Request) -> Response:
        return raw(self.scene.codes[await self.points(request)].astype("<f4"))

    # The model --------------------------------------------------------------------------------------------------------

    async def decode(self, request: Request) -> Response:
        codes = await self.rows(request, "<f4", self.scene.latent_dim)
        if len(codes) == 1:  # at the pointer: takes a millisecond, less than a thread switch
            return raw(self.scene.decode(codes, classes(request)))
        return raw(await run_in_threadpool(self.scene.decode, codes, classes(request)))

    async def encode(self, request: Request) -> Response:
        codes = await run_in_threadpool(self.scene.encode, await self.sent_images(request), classes(request))
        return raw(codes.astype("<f4"))

    async def classify(self, request: Request) -> Response:
        return raw((await run_in_threadpool(self.scene.classify, await self.sent_images(request))).astype("<f4"))

    async def denoise(self, request: Request) -> Response:
        level, seed = number(request, "level", 0.5), whole(request, "seed", 0)
        require(level <= 10, f"level is {level:g}; expected a number from 0 to 10")
        noisy, rebuilt = await run_in_threadpool(self.scene.denoise, await self.sent_images(request), level, seed)
        return raw(np.concatenate([noisy, rebuilt]))

    async def samples(self, request: Request) -> Response:
        given = "guidance" in request.query_params
        asked = how_many(request, 18), classes(request), number(request, "guidance", 0) if given else None
        return raw((await run_in_threadpool(self.scene.draw, *asked, whole(request, "seed", 0))).astype("<f4"))

    async def variations(self, request: Request) -> Response:
        codes = await self.rows(request, "<f4", self.scene.latent_dim)
        require(len(codes) == 1, "expected one code")
        asked = how_many(request, 18), classes(request), number(request, "strength", 0.5), whole(request, "seed", 0)
        return raw((await run_in_threadpool(self.scene.vary, codes, *asked)).astype("<f4"))

    async def path(self, request: Request) -> Response:
        ends = await self.rows(request, "<f4", self.scene.latent_dim)
        require(len(ends) == 2, "expected two codes")
        asked = how_many(request, 9), classes(request)
        return raw((await run_in_threadpool(self.scene.path, ends, *asked)).astype("<f4"))

    async def neighbours(self, request: Request) -> Response:
        n = how_many(request, 12)
        codes = await self.rows(request, "<f4", self.scene.latent_dim)
        require(len(codes) == 1 and bool(np.isfinite(codes).all()), "expected one code of finite numbers")
        points, distances = await run_in_threadpool(self.scene.neighbours, codes[0], n)
        return JSONResponse({"points": points.tolist(), "distances": np.nan_to_num(distances).tolist()})

    # Labels -----------------------------------------------------------------------------------------------------------

    async def read_labels(self, request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(self.labels.state, self.scene.shown))

    async def change_labels(self, request: Request) -> Response:
        changes = as_changes(await request.body(), len(self.scene.shown))
        numbered = [(label, self.scene.shown[points]) for label, points in changes]
        return JSONResponse(await run_in_threadpool(self.labels.change, numbered, self.scene.shown))

    async def export_labels(self, request: Request) -> Response:
        text = self.labels.text(with_own=request.query_params.get("own") == "yes")
        return Response(
            text, media_type="text/csv", headers={"content-disposition": 'attachment; filename="labels.csv"'}
        )

    async def import_labels(self, request: Request) -> Response:
        body = await request.body()
        return JSONResponse(await run_in_threadpool(self.labels.take, body, self.scene.shown))

    async def propose(self, request: Request) -> Response:
        by, n = request.query_params.get("by", "clusters"), how_many(request, 20)
        points = await run_in_threadpool(proposals.propose, by, n, self.scene, self.labels)
        return JSONResponse({"points": points.tolist()})

    # Bodies -----------------------------------------------------------------------------------------------------------

    async def rows(self, request: Request, kind: str, width: int) -> np.ndarray:
        """The body as (n, width) numbers. Raises InputError unless n is a whole number from 1 to `MOST_AT_ONCE`."""
        body = await request.body()
        size = np.dtype(kind).itemsize * width
        n, rest = divmod(len(body), size)
        fits = rest == 0 and 1 <= n <= MOST_AT_ONCE
        require(fits, f"the request has {len(body):,} bytes; expected {size:,} for each of 1 to {MOST_AT_ONCE}")
        return np.frombuffer(body, kind).reshape(n, width).astype(np.dtype(kind).newbyteorder("="))

    async def points(self, request: Request) -> np.ndarray:
        points = (await self.rows(request, "<u4", 1))[:, 0].astype(np.int64)
        n = len(self.scene.images)
        require(bool((points < n).all()), f"there is no point {points.max()}; expected numbers from 0 to {n - 1}")
        return points

    async def sent_images(self, request: Request) -> np.ndarray:
        return (await self.rows(request, "|u1", self.n_values)).reshape(-1, *self.scene.images.image_shape)


def raw(values: np.ndarray | bytes) -> Response:
    content = values if isinstance(values, bytes) else np.ascontiguousarray(values).tobytes()
    return Response(content, media_type="application/octet-stream")


def number(request: Request, name: str, default: float) -> float:
    text = request.query_params.get(name, str(default))
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    require(math.isfinite(value) and value >= 0, f"{name} is {text[:40]!r}; expected a number of at least 0")
    return value


def whole(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, str(default))
    fits = text.isascii() and text.isdigit() and len(text) <= 9
    require(fits, f"{name} is {text[:40]!r}; expected a whole number from 0 to 999999999")
    return int(text)


def how_many(request: Request, default: int) -> int:
    n = whole(request, "n", default)
    require(1 <= n <= 200, f"n is {n}; expected a whole number from 1 to 200")
    return n


def classes(request: Request) -> np.ndarray | None:
    """Class indices, `?class=3` or `?class=0,1,2`; None without the parameter."""
    text = request.query_params.get("class", "")
    if not text:
        return None
    words = text.split(",")
    fits = len(words) <= MOST_AT_ONCE and all(word.isascii() and word.isdigit() and len(word) <= 9 for word in words)
    require(fits, f"class is {text[:40]!r}; expected whole numbers separated by commas")
    return np.array([int(word) for word in words])


def as_changes(body: bytes, n_points: int) -> list[tuple[str, np.ndarray]]:
    """[{"label": "3", "points": [0, 5]}, ...], an empty label removes labels; otherwise an InputError."""
    try:
        sent = json.loads(body)
        changes = [(change["label"], np.asarray(change["points"], dtype=object)) for change in sent]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise InputError('expected JSON of the form [{"label": "3", "points": [0, 5]}]') from None
    for label, points in changes:
        require(isinstance(label, str), f"a label is {str(label)[:40]!r}; expected text")
        fits = points.ndim == 1 and all(type(point) is int and 0 <= point < n_points for point in points)
        require(fits, f"the points of {label[:40]!r} are not all whole numbers from 0 to {n_points - 1}")
    return [(label, points.astype(np.int64)) for label, points in changes]


# Serving --------------------------------------------------------------------------------------------------------------


def serve(scene: Scene, labels: LabelFile, listening: socket.socket, host: str, open_browser: bool) -> None:
    """Serve until Ctrl-C on the socket of `bound`. Prints the address on stdout."""
    torch.set_num_threads(min(torch.get_num_threads(), 4))  # images are small: more threads only wait for each other
    token = None if host in LOCAL_NAMES else secrets.token_urlsafe(16)
    everywhere = host in ("0.0.0.0", "::")
    shown = "localhost" if everywhere else f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{listening.getsockname()[1]}/" + (f"?token={token}" if token else "")
    others = "On other machines, replace localhost by the address of this one.\n" * everywhere
    print(f"{address}\n{others}Ctrl-C stops it; labels are saved to {labels.path}", flush=True)
    if open_browser:
        webbrowser.open(address)
    try:
        web_server(app(scene, labels, host, token)).run(sockets=[listening])
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)


def web_server(application: Guard) -> uvicorn.Server:
    config = uvicorn.Config(
        application, log_level="critical", access_log=False, lifespan="off", server_header=False,
        timeout_graceful_shutdown=2, limit_concurrency=200,
    )  # fmt: skip
    return uvicorn.Server(config)


def bound(host: str, port: int) -> socket.socket:
    """A listening socket; port 0: a free one. Raises InputError if the address is in use or not available."""
    require(0 <= port < 65536, f"--port is {port}; expected a whole number from 0 (any free port) to 65535")
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((host, port), family=family, backlog=64)
        # asyncio sets this only on sockets with an explicit protocol; without it, an answer waits 40 ms for the
        # acknowledgement of its headers
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as error:
        why = str(error.strerror).partition(" (")[0]  # Python adds the address, which is in the message already
        raise InputError(f"cannot listen on {host}, port {port}: {why}; give another --host or --port") from None
    return listening
