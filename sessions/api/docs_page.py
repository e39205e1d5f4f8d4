"""Where an API shows its reference: a page of this site, drawn on the server from the schema that programs get."""

import json
from functools import lru_cache
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from ninja import NinjaAPI
from ninja.openapi.docs import DocsBase

from sessions.api.reference import Group, Shape, groups, shapes, unwrapped

CONTRACTS = {"api-native": "Koda Web", "api-zeroclaw": "ZeroClaw", "api-stakpak": "Stakpak"}
"""The namespaces of all references, and what leads from one to another is called."""


class Reference(DocsBase):
    """What `/docs` of an API answers."""

    def render_page(self, request: HttpRequest, api: NinjaAPI, **kwargs: Any) -> HttpResponse:
        """Show the reference; who is signed in gets links to look at what may be read."""
        found, known = _read(api, request.build_absolute_uri("/").rstrip("/"))
        context = {
            "api": api,
            "description": unwrapped(api.description),
            "groups": found,
            "shapes": known,
            "schema_url": self.get_openapi_url(api, kwargs),
            "contracts": [
                {"title": title, "url": reverse(f"{name}:openapi-view"), "is_this": name == api.urls_namespace}
                for name, title in CONTRACTS.items()
            ],
        }
        return render(request, "api/reference.html", context)


@lru_cache(maxsize=24)
def _read(api: NinjaAPI, root: str) -> tuple[list[Group], list[Shape]]:
    """Return what the page shows; a schema does not change while a server runs."""
    schema = json.loads(json.dumps(api.get_openapi_schema(), default=str))  # as programs get it
    return groups(schema, root=root), shapes(schema)
