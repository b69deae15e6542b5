"""The ASGI application: finds the endpoint, knows who asks, enforces what the table says, answers, logs."""

import time
from collections.abc import Callable, Mapping, Sequence, Set
from uuid import uuid4

import structlog

from holdfast.api.endpoints import OLD, Endpoint, Match, Operation, Routes
from holdfast.api.services import Services
from holdfast.api.table import ENDPOINTS, PROBED, PUBLIC
from holdfast.api.wire import (
    JSON,
    Answer,
    BrokenOff,
    ClientGone,
    Header,
    Receive,
    Request,
    Scope,
    Send,
    encoded,
    json_text,
    send_answer,
)
from holdfast.auth.port import Action, Authenticator
from holdfast.metadata.port import DatabaseFull, DatabaseReadOnly, DatabaseUnavailable
from holdfast.model.errors import (
    BLOB_UPLOAD_UNKNOWN,
    DELETE_DISABLED,
    DENIED,
    DISK_FULL,
    NAME_INVALID,
    NOT_FOUND,
    OLD_PROTOCOL,
    READ_ONLY,
    SET_READ_ONLY,
    SIZE_INVALID,
    UNAUTHORIZED,
    UNAVAILABLE,
    UNKNOWN,
    UNSUPPORTED,
    Failure,
)
from holdfast.model.names import check_repository
from holdfast.observability.access import AccessLog, Line
from holdfast.storage.port import StorageFull, StorageReadOnly, StorageUnavailable, UploadLost

log = structlog.get_logger("holdfast.api")

VERSION: Header = (b"docker-distribution-api-version", b"registry/2.0")
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
WRITING = WITH_BODY | {"DELETE"}
_CUT_OFF = Failure(SIZE_INVALID, "the body was cut off or malformed", headers=[("Connection", "close")])
CLIENT_GONE = 499
"""What the access log shows where nobody was left to answer."""


class Api:
    """The registry as an ASGI application (HTTP only)."""

    def __init__(
        self,
        services: Services,
        authenticator: Authenticator,
        access_log: AccessLog | None,
        headers: Mapping[str, Sequence[str]],
        body_timeout: float,
        delete_enabled: bool,
        read_only: bool,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._services = services
        self._authenticator = authenticator
        self._access_log = access_log
        configured = [encoded(name.lower(), value) for name, values in headers.items() for value in values]
        self._headers = [VERSION, *configured]
        self._timeout = body_timeout
        self._delete_enabled = delete_enabled
        self._read_only = read_only
        self._clock = clock
        self._routes = Routes(ENDPOINTS, PUBLIC, services.prefix)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = self._clock()
        request = Request(scope, receive, self._timeout)
        status, sent = CLIENT_GONE, 0
        try:
            answer = await self._answer(request)
            status = answer.status
            sent = await send_answer(answer, request, self._headers, send)
            if request.method in WITH_BODY and not request.body.finished:
                await request.body.linger()
        except ClientGone as gone:
            if (
                status == CLIENT_GONE
            ):  # what is no longer readable may also be a malformed body, whose sender is still there
                await send_answer(render(_CUT_OFF), request, self._headers, send)
            status, sent = CLIENT_GONE, gone.sent
        except BrokenOff as broken:
            sent = broken.sent
            log.error("an answer broke off", path=request.path, sent=sent, error=str(broken.__cause__))
        finally:
            request.body.release()
            if self._access_log:
                self._access_log.write(Line(request, status, sent, request.body.received, self._clock() - started))

    async def _answer(self, request: Request) -> Answer:
        match = self._routes.match(request.path)
        try:
            if match is None:
                self._turn_away(request.path)
            if match is None or match.endpoint.name not in PROBED:
                self._services.health.require_checks()
            if request.method == "OPTIONS":
                return Answer(200, [encoded("Allow", match.endpoint.allow if match else "OPTIONS")])
            if match is None or match.endpoint.name not in PUBLIC:
                if not self._services.gate.is_open:
                    await self._services.gate.wait()
                await self._authenticate(request)
            if match is None:
                raise Failure(NOT_FOUND)
            return await self._operation(request, match).handler(self._services, request)
        except ClientGone:
            raise
        except Exception as error:
            failure = _failure(error, request)
            if failure.kind in {UNAUTHORIZED, DENIED} and match and match.repository:
                failure.details = (_wanted(match, request.method),)
            return render(failure)

    def _turn_away(self, path: str) -> None:
        """Raise what anybody may know of a path that no endpoint has; under `/v2/` nothing is told before authentication."""
        inner = self._routes.within(path)
        if inner is None:
            raise Failure(NOT_FOUND, f"no such endpoint; the registry's paths begin with {self._services.prefix}/v2/")
        if inner.startswith(OLD):
            raise Failure(OLD_PROTOCOL)
        if not inner.startswith("/v2/"):
            raise Failure(NOT_FOUND)

    async def _authenticate(self, request: Request) -> None:
        authorization = request.header(b"authorization")
        request.actor = self._authenticator.cached(authorization) or await self._authenticator.authenticate(
            authorization, request.client
        )

    def _operation(self, request: Request, match: Match) -> Operation:
        """The operation that the table has for a request, if it may be done. (Invariant I8)"""
        operation = match.endpoint.operations.get(request.method)
        if operation is None:
            raise Failure(UNSUPPORTED, headers=[("Allow", match.endpoint.allow)])
        if "<name>" in match.endpoint.path:
            if b"%2f" in request.scope.get("raw_path", b"").lower():
                raise Failure(NAME_INVALID, "write / as it is, not as %2F")
            request.repository = check_repository(match.repository)
        request.reference = match.reference
        decision = self._services.policy.decide(request.actor, request.repository or None, operation.action)
        if not decision.allowed:
            raise Failure(DENIED, f"{DENIED.message}: {decision.reason}")
        if self._read_only and request.method in WRITING:
            raise Failure(SET_READ_ONLY, headers=[("Allow", _without(match.endpoint, WRITING))])
        if operation.action is Action.DELETE and not self._delete_enabled:
            raise Failure(DELETE_DISABLED, headers=[("Allow", _without(match.endpoint, {"DELETE"}))])
        _announce_body(request)
        return operation


def _wanted(match: Match, method: str) -> list[dict[str, str]]:
    """The rights that a request needs, in the form that registry:2 tells them in; Docker repeats requests that are refused without."""
    operation = match.endpoint.operations.get(method)
    action = operation.action if operation else Action.PULL
    actions = [Action.PULL, Action.PUSH] if action is Action.PUSH else [action]
    return [{"Type": "repository", "Class": "", "Name": match.repository, "Action": wanted} for wanted in actions]


def _announce_body(request: Request) -> None:
    if request.method not in WITH_BODY:
        return
    announced = request.text_header(b"content-length")
    chunked = request.header(b"transfer-encoding")
    if announced and not chunked:
        if not (announced.isascii() and announced.isdigit() and len(announced) < 19):
            raise Failure(SIZE_INVALID, "Content-Length must be a whole number")
        request.body.length = int(announced)


def _without(endpoint: Endpoint, methods: Set[str]) -> str:
    return ", ".join(method for method in endpoint.allow.split(", ") if method not in methods)


def _failure(error: Exception, request: Request) -> Failure:
    """What a client is told of an error; what is not its own doing is logged."""
    if isinstance(error, Failure):
        return error
    if isinstance(error, StorageFull | DatabaseFull):
        log.error("no room", method=request.method, path=request.path, error=str(error))
        return Failure(DISK_FULL)
    if isinstance(error, StorageReadOnly | DatabaseReadOnly):
        return Failure(READ_ONLY, headers=[("Allow", "GET, HEAD, OPTIONS")])
    if isinstance(error, UploadLost):
        return Failure(BLOB_UPLOAD_UNKNOWN)
    if isinstance(error, DatabaseUnavailable):
        log.error("the database is unavailable", path=request.path, error=str(error))
        return Failure(UNAVAILABLE, headers=[("Retry-After", "5")])
    if isinstance(error, StorageUnavailable):
        log.error("the store is unavailable", path=request.path, error=str(error))
        return Failure(UNAVAILABLE, headers=[("Retry-After", "5")])
    incident = str(uuid4())
    log.error("request failed", method=request.method, path=request.path, id=incident, exc_info=error)
    return Failure(UNKNOWN, detail={"id": incident})


def render(failure: Failure) -> Answer:
    """The answer that tells a client of a failure: the one place that makes such answers.

    There is always a detail: without one Docker takes the error for one that passes, and tries again for most of a minute.
    """
    entries = [
        {"code": failure.kind.code, "message": failure.message, "detail": {} if detail is None else detail}
        for detail in failure.details
    ]
    headers = [JSON]
    headers += [encoded(name, value) for name, value in failure.headers]
    return Answer(failure.kind.status, headers, json_text({"errors": entries}))
