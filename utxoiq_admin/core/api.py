"""The JSON API's ground rules: one shape for every error, closed unless opened, nothing that ends in a trace.

Every answer that is no success is `{"errors": [{"where", "what", "why"}, …]}`: `where` points to the fault
("body.3.metric_value", "query.start_time", "header.Authorization"), `what` is a word for programs, `why` a
sentence for people. What came in is never repeated in it.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.core.signals import got_request_exception
from django.db import DataError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.http.response import HttpResponseBase
from django.urls import URLPattern, URLResolver, re_path
from django.utils.log import log_response
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError, ValidationErrorContext

from utxoiq_admin.core.outage import diagnose
from utxoiq_admin.core.schemas import UNSTORABLE, is_storable

MAX_FAULTS = 100  # entries in one answer: a long batch can be wrong in every row


@dataclass(frozen=True)
class Fault:
    where: str
    what: str
    why: str


class ApiError(Exception):
    """Raised by a door to answer `status` with these faults."""

    def __init__(self, status: int, *faults: Fault, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, *faults)
        self.status, self.faults, self.headers = status, faults, headers or {}


def errors_response(
    status: int, faults: Iterable[Fault], headers: dict[str, str] | None = None
) -> HttpResponse:
    return JsonResponse({"errors": [asdict(each) for each in faults]}, status=status, headers=headers)


class Api(NinjaAPI):
    """NinjaAPI with our errors, on every path below it, also those that no operation serves."""

    def validation_error_from_error_contexts(
        self, error_contexts: list[ValidationErrorContext]
    ) -> ValidationError:
        error = super().validation_error_from_error_contexts(error_contexts)
        wrapped = {getattr(each.model, "__read_from_single_attr__", None) for each in error_contexts} - {None}
        for each in error.errors:
            source, *path = each["loc"]
            # The one body parameter's Python name is no part of what was sent.
            if source == "body" and path and path[0] in wrapped:
                each["loc"] = (source, *path[1:])
        return error

    def set_default_exception_handlers(self) -> None:
        for error, handler in HANDLERS.items():
            self.add_exception_handler(error, handler)

    def _get_urls(self) -> list[URLResolver | URLPattern]:
        patterns = super()._get_urls()
        for pattern in patterns:
            if isinstance(pattern, URLPattern):
                pattern.callback = _guarded(pattern.callback)
        return [*patterns, re_path(r"", _guarded(_no_such_path))]


def _guarded(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """What django-ninja leaves to Django, in our shape: refusals before an operation, faults of our own."""

    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if refusal := _refusal(request):
            return refusal
        try:
            response = view(request, *args, **kwargs)
        except Http404 as error:
            return _not_found(request, error)
        except Exception as error:
            if diagnose(error):
                raise  # OutageMiddleware tells the dead dependency
            return _own_fault(request, error)
        if response.status_code == 405:
            allowed = response.headers.get("Allow", "")
            why = f"{request.method} is not possible here; {allowed} is."
            return errors_response(405, [Fault("method", "method", why)], {"Allow": allowed})
        return response

    guarded.csrf_exempt = True  # type: ignore[attr-defined]  # a session may only read here: see ServiceAuth
    return guarded


def _refusal(request: HttpRequest) -> HttpResponse | None:
    if "\0" in request.path_info:
        return _not_found(request, None)
    for name, values in request.GET.lists():
        if not all(map(is_storable, (name, *values))):
            where = f"query.{name}" if is_storable(name) else "query"
            return errors_response(422, [Fault(where, "text", UNSTORABLE)])
    if "chunked" in request.headers.get("Transfer-Encoding", "").lower():
        why = "A body without its length is not read here; send Content-Length instead of chunks."
        return errors_response(411, [Fault("body", "length", why)])
    return None


def _no_such_path(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
    raise Http404


def _raise(request: HttpRequest, error: Exception) -> HttpResponse:
    raise error


def _api_error(request: HttpRequest, error: ApiError) -> HttpResponse:
    return errors_response(error.status, error.faults, error.headers)


def _http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    if isinstance(error, AuthenticationError):
        return unauthorized("missing", "Send `Authorization: Bearer <service token>`.")
    if isinstance(error.__cause__, Exception) and error.status_code == 400:
        return errors_response(422, [Fault("body", "json", _why_not_json(error.__cause__))])
    return errors_response(error.status_code, [Fault("request", "refused", error.message)])


def unauthorized(what: str, why: str) -> HttpResponse:
    return errors_response(401, [Fault("header.Authorization", what, why)], {"WWW-Authenticate": "Bearer"})


def _why_not_json(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"This is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
    if isinstance(error, UnicodeDecodeError):
        return "This is not UTF-8."
    if isinstance(error, RecursionError):
        return "This is nested too deeply."
    return "This is not JSON that can be read here."


def _validation_error(request: HttpRequest, error: ValidationError) -> HttpResponse:
    faults = [
        Fault(".".join(map(_printable, each["loc"])), each["type"], each["msg"].removeprefix("Value error, "))
        for each in error.errors[:MAX_FAULTS]
    ]
    if (more := len(error.errors) - MAX_FAULTS) > 0:
        faults.append(Fault("request", "more", f"{more:,} more faults are not listed."))
    return errors_response(422, faults)


def _printable(part: object) -> str:
    """A step of a path; a key that the sender made up is cut short."""
    return str(part)[:100]


def _not_found(request: HttpRequest, error: Http404 | None) -> HttpResponse:
    why = str(error) if error and error.args and isinstance(error.args[0], str) else "There is nothing here."
    return errors_response(404, [Fault("path", "not_found", why)])


def _too_big(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    why = (
        f"A body may have at most {limit:,} bytes; nothing of this one was stored. Send several smaller ones."
    )
    return errors_response(413, [Fault("body", "too_large", why)])


def _unreadable(request: HttpRequest, error: UnreadablePostError) -> HttpResponse:
    return errors_response(
        400, [Fault("body", "incomplete", "The body ended early; nothing of it was stored.")]
    )


def _unstorable(request: HttpRequest, error: Exception) -> HttpResponse:
    why = f"The database cannot hold a value; nothing was stored. {UNSTORABLE} Numbers have their range."
    return errors_response(422, [Fault("request", "value", why)])


def _own_fault(request: HttpRequest, error: Exception) -> HttpResponse:
    got_request_exception.send(sender=None, request=request)
    why = (
        "A fault of the server, which was logged. Whether anything was stored is unknown: repeat it only where a "
        "repeat is safe, as for rows that carry their id."
    )
    response = errors_response(500, [Fault("server", "fault", why)])
    log_response(
        "Internal Server Error: %s", request.path, response=response, request=request, exception=error
    )
    return response


HANDLERS: dict[type[Exception], Callable[..., HttpResponse]] = {
    Exception: _raise,
    ApiError: _api_error,
    HttpError: _http_error,
    ValidationError: _validation_error,
    Http404: _not_found,
    RequestDataTooBig: _too_big,
    UnreadablePostError: _unreadable,
    DataError: _unstorable,
    UnicodeEncodeError: _unstorable,
}
