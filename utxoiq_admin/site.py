"""The admin site: whoever is signed in may enter, and sees what their groups grant."""

from typing import TYPE_CHECKING, Any, ClassVar

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBadRequest
from django.template.response import TemplateResponse
from unfold.forms import AuthenticationForm as UnfoldAuthenticationForm
from unfold.sites import UnfoldAdminSite

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser


class SignInForm(UnfoldAuthenticationForm):
    """Sign-in without Django's `is_staff`: rights come from groups, and somebody without one reads whom to ask."""

    error_messages: ClassVar[dict[str, str]] = {
        "invalid_login": "No account matches this username and password. Both are case-sensitive.",
        "inactive": "This account is switched off. Ask an administrator.",
    }

    def confirm_login_allowed(self, user: "AbstractBaseUser") -> None:
        if not user.is_active:
            raise self.get_invalid_login_error()


class OperationsSite(UnfoldAdminSite):
    login_form = SignInForm
    index_title = "All tables"
    enable_nav_sidebar = True
    empty_value_display = "–"

    def autocomplete_view(self, request: HttpRequest) -> HttpResponse:
        """PostgreSQL refuses a NUL character, and Django would pass it on."""
        if "\0" in request.GET.get("term", ""):
            return HttpResponseBadRequest("The search has a character that no text here has.")
        return super().autocomplete_view(request)

    def search(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """The theme's search is not offered: it caches its results as objects, which a cache of JSON refuses."""
        raise Http404("This site has no search over all tables: each list has one of its own.")

    def has_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active and request.user.is_authenticated)
