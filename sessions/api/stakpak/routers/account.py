"""What the agent asks for beside its sessions: whose key it is, and rule books."""

from django.http import HttpRequest, HttpResponse
from ninja import Router

from sessions.api.auth import authenticate
from sessions.api.json_format import answer
from sessions.api.stakpak.envelope import failing
from sessions.api.stakpak.schemas import AccountOut, BackendOut, RulesOut

router = Router(tags=["Account"])


@router.get("/account", response={200: AccountOut, **failing()}, operation_id="get_account", summary="Read the account")
def get_account(request: HttpRequest) -> HttpResponse:
    """Return whose key it is. The agent asks before anything else, and leaves when this fails."""
    user = authenticate(request).user
    names = {name: getattr(user, name) for name in ("username", "first_name", "last_name", "email")}
    return answer({**names, "id": str(user.pk), "scope": None})


@router.get(
    "/backend-info",
    response={200: BackendOut, **failing()},
    operation_id="backend_info",
    summary="Read where sessions are kept",
)
def backend_info(request: HttpRequest) -> HttpResponse:
    """Return what the trait's `backend_info` says of this server: its kind, and its address as the caller has it."""
    authenticate(request)
    return answer({"kind": "stakpak-api", "endpoint": request.build_absolute_uri("/").rstrip("/")})


@router.get("/rules", response={200: RulesOut, **failing()}, operation_id="list_rules", summary="List rule books")
def list_rules(request: HttpRequest) -> HttpResponse:
    """Return no rule books: this server keeps none."""
    authenticate(request)
    return answer({"results": []})
