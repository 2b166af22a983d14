"""ASGI middleware that protects the page: checks of host, origin, token and size of requests; security headers.

Any site that is open in the browser can send requests to this machine. So a request must name this server as its host
(against DNS rebinding), must come from this page (no other origin), and, if other machines can reach the server, must
have the token of the printed address.
"""

import ipaddress
import json
import secrets
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_BODY = 8 * 2**20  # bytes of a request: 100,000 labels with their names
LOCAL_NAMES = ("127.0.0.1", "localhost", "::1")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


class Guard:
    """ASGI middleware around the page. host: what the server is bound to. token: None if it is bound to localhost.
    framed_by: which pages may show this one in a frame."""

    def __init__(
        self, app: ASGIApp, host: str = "127.0.0.1", token: str | None = None, framed_by: str = "'none'"
    ) -> None:
        self.app, self.host, self.token = app, host, token
        policy = POLICY.replace("frame-ancestors 'none'", f"frame-ancestors {framed_by}")
        self.headers = HEADERS | {"content-security-policy": policy}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return  # no web sockets here
        headers, query = Headers(scope=scope), parse_qs(scope["query_string"].decode("latin-1"))
        status, sentence = self.judge(scope["method"], headers, query.get("token", []))
        if status:
            await answer(send, status, sentence)
        elif self.token and query.get("token"):  # the printed address: store the token in a cookie
            cookie = f"{self.cookie(headers)}={self.token}; HttpOnly; SameSite=Strict; Path=/"
            await answer(send, 303, "see /", [("location", "/"), ("set-cookie", cookie)])
        else:
            await self.app(scope, bounded(receive), with_headers(send, self.headers))

    def judge(self, method: str, headers: Headers, tokens: list[str]) -> tuple[int, str]:
        """(0, "") for an allowed request, otherwise the status and message of the refusal."""
        host = host_name(headers.get("host", ""))
        if not self.is_ours(host):
            return 403, f"this page does not accept the host name {host[:100]!r}; use the printed address"
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2] != headers.get("host"):
            return 403, "this page does not accept requests from other sites"
        navigates = method == "GET" and headers.get("sec-fetch-mode") == "navigate"
        if headers.get("sec-fetch-site") in ("cross-site", "same-site") and not navigates:
            return 403, "this page does not accept requests from other sites"
        if self.token and not any(self.opens(each) for each in [*tokens, self.kept(headers)]):
            return 403, "this page needs the token of the address that was printed at its start"
        if (length := headers.get("content-length", "0")).isdigit() and int(length) > LARGEST_BODY:
            return 413, f"the request has {int(length):,} bytes; expected at most {LARGEST_BODY:,}"
        return 0, ""

    def is_ours(self, host: str) -> bool:
        if host in (*LOCAL_NAMES, self.host):
            return True
        try:  # bound to all addresses of the machine: accept any of them, but no names, which others could point here
            return self.token is not None and bool(ipaddress.ip_address(host))
        except ValueError:
            return False

    def opens(self, token: str) -> bool:
        """Compares in constant time; as bytes, because the given token may contain any characters."""
        return secrets.compare_digest(str(self.token).encode(), token.encode(errors="replace"))

    def cookie(self, headers: Headers) -> str:
        """Name of the cookie; contains the port, because cookies are shared between ports."""
        return f"latently-{headers.get('host', '').rpartition(':')[2]}"

    def kept(self, headers: Headers) -> str:
        pairs = (pair.strip().partition("=") for pair in headers.get("cookie", "").split(";"))
        return next((value for name, _, value in pairs if name == self.cookie(headers)), "")


def host_name(host: str) -> str:
    """`[::1]:8000` -> `::1`, `localhost:8000` -> `localhost`."""
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0].lower()


class TooLarge(Exception):
    """The body of a request exceeds `LARGEST_BODY`, without a Content-Length that says so."""


def bounded(receive: Receive) -> Receive:
    total = 0

    async def counted() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > LARGEST_BODY:
            raise TooLarge
        return message

    return counted


def with_headers(send: Send, headers: Mapping[str, str]) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *encoded(headers.items())]
        await send(message)

    return sent


async def answer(send: Send, status: int, sentence: str, more: Iterable[tuple[str, str]] = ()) -> None:
    body = json.dumps({"error": sentence}).encode()
    headers = encoded(
        [("content-type", "application/json"), ("content-length", str(len(body))), *HEADERS.items(), *more]
    )
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def encoded(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
