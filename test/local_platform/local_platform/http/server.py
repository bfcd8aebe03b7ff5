"""HTTP: calls, tokens, errors.

How calls and errors look: https://documentation.dnanexus.com/developer/api/protocols
"""

import errno
import json
import logging
import random
import sqlite3
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Middleware

from local_platform.access import Caller
from local_platform.address import HOST
from local_platform.api import routes, unserved
from local_platform.api.call import Call
from local_platform.errors import (
    ApiError,
    InvalidInput,
    InvalidState,
    MalformedJSON,
    PermissionDenied,
    ResourceNotFound,
)
from local_platform.http import browser, log_stream, transfer
from local_platform.rules.fields import hash_of, json_of
from local_platform.store import nonces
from local_platform.store.database import Store, now, sha256
from local_platform.strict_json import LARGEST_TEXT, Hash

# What `dx login` asks of the authentication server, without a token.
LOGIN = "/system/newAuthToken"
LONGEST_NONCE = 128
LOG = logging.getLogger("local_platform")


class Server:
    """Serves one store on one port of the loopback interface."""

    def __init__(
        self,
        store: Store,
        after_change: Callable[[], None],
        middlewares: Iterable[Middleware] = (),
    ) -> None:
        """Prepare a server; `start` opens the port.

        `after_change` is called after each call that has changed what a job may wait for.
        """
        self._store = store
        self._after_change = after_change
        app = web.Application(middlewares=[self._guard, *middlewares], client_max_size=LARGEST_TEXT)
        app.on_response_prepare.append(browser.add_bounds)
        for path in browser.FILES:
            app.router.add_get(path, browser.send_page)
        app.router.add_get("/{job}/getLog/websocket", partial(log_stream.stream_log, store))
        app.router.add_get("/F/{path:.+}", partial(transfer.send_bytes, store))
        app.router.add_put("/F/{path:.+}", partial(transfer.receive_part, store))
        app.router.add_post("/{path:.+}", self._call)
        app.on_response_prepare.append(_add_headers)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        self.port = 0

    async def start(self, port: int) -> None:
        """Listen on a port; 0 stands for the one of last time, or any free one.

        dx keeps the port in its configuration, and warns of another.
        """
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, HOST, port or self._store.port).start()
        except OSError:
            if port:
                raise
            await web.TCPSite(self._runner, HOST).start()
        self.port = self._store.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close the port."""
        await self._runner.cleanup()

    @web.middleware
    async def _guard(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        """Refuse foreign hosts and pages, and turn every exception into an error of the API."""
        try:
            # A web page could reach this port under a name of its own, but not under ours.
            if request.host not in (f"{HOST}:{self.port}", f"localhost:{self.port}"):
                raise PermissionDenied(f"This platform is not {request.host}")
            browser.refuse_foreign_origin(request)
            return await handler(request)
        except ApiError as error:
            return _refusal(error)
        except web.HTTPException as error:
            kind = ResourceNotFound if error.status in (404, 405) else InvalidInput
            refusal = kind(f"{request.method} {request.path}: {error.reason}")
            response = _refusal(refusal, error.status)
            if "Content-Range" in error.headers:
                response.headers["Content-Range"] = error.headers["Content-Range"]
            return response
        except web.RequestPayloadError as error:
            return _refusal(MalformedJSON(f"The body cannot be read: {error}"))
        except ConnectionError:
            # The client is gone, or would take an error for the bytes of a file.
            if request.transport:
                request.transport.close()
            return web.Response()
        except Exception as error:
            # Clients retry a 5xx for a minute; these errors must show at once.
            if _is_disk_full(error):
                return _refusal(
                    InvalidState(
                        f"No space left on the disk of the local platform ({self._store.root})."
                        " Free some, or choose a folder on another disk with TMPDIR or --state."
                    )
                )
            LOG.exception("%s %s", request.method, request.path)
            return _refusal(
                InvalidInput(f"The local platform failed: {type(error).__name__}: {error}")
            )

    async def _call(self, request: web.Request) -> web.Response:
        """Answer one JSON call; all it writes is kept, or nothing."""
        if request.path == LOGIN:
            raise InvalidState(
                "The local platform has no names and passwords:"
                " the variables that it has set are the login already"
            )
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        Caller.with_token(self._store, scheme, token)
        content = await request.read() or b"{}"
        # A job may have ended while it sent its body.
        caller = Caller.with_token(self._store, scheme, token)
        found = routes.find(request.path)
        if found is None:
            LOG.warning("unknown route %s", request.path)
            raise ResourceNotFound(f"The local platform does not serve {request.path}")
        handler, object_id = found
        whole = routes.WHOLE_BODY.get(handler)
        call = Call(
            self._store,
            caller.job_id,
            object_id=object_id,
            body={whole: json_of(content)} if whole else hash_of(content),
            base_url=f"http://{HOST}:{self.port}",
            command=_command(request),
        )
        before = self._store.changes
        with self._store.transaction():
            unserved.check(call)
            reply = self._once(request.path, handler, call)
        if self._store.changes != before:
            self._after_change()
        return web.json_response(reply)

    def _once(self, path: str, handler: routes.Handler, call: Call) -> Any:
        """Answer a call with a nonce once: the same request gets the same answer again."""
        nonce = call.optional("nonce", str)
        if nonce is None:
            return _served(handler, call)
        if len(nonce) > LONGEST_NONCE:
            raise InvalidInput(f'Expected the field "nonce" to have up to {LONGEST_NONCE} bytes')
        key = f"{path} {call.job_id} {nonce}"
        request = sha256(json.dumps(call.body, sort_keys=True))
        before = nonces.reply(self._store, key)
        if before is None:
            reply: Hash = _served(handler, call)
            nonces.save(self._store, key, request, reply)
            return reply
        if before[0] != request:
            raise InvalidInput('The field "nonce" was used before for another request')
        return before[1]


def _served(handler: routes.Handler, call: Call) -> Any:
    """Answer a call.

    Raises:
        InvalidInput: it has a field that its handler has not read.
    """
    reply = handler(call)
    if unread := call.unread():
        raise InvalidInput(
            f'The local platform does not serve the field "{unread[0]}" of this method'
        )
    return reply


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """Add what each answer of the service has; clients show the request's ID with an error."""
    response.headers["X-Request-Id"] = f"{now()}-{random.randrange(10**6)}"


def _command(request: web.Request) -> str:
    """Return the sub-command of dx that calls: it ends the User-Agent, as in "dx-build"."""
    return request.headers.get("User-Agent", "").partition(" dx-")[2]


def _is_disk_full(error: Exception) -> bool:
    """Return whether a file or the database could not grow."""
    full = isinstance(error, OSError) and error.errno == errno.ENOSPC
    return full or (isinstance(error, sqlite3.OperationalError) and "is full" in str(error))


def _refusal(error: ApiError, status: int | None = None) -> web.Response:
    """Return an error as the clients understand it."""
    return web.json_response(error.body(), status=status or error.status)
