"""Django's templates; what a page was made of is let go when it is made."""

from typing import Any

from django.http import HttpRequest
from django.template import TemplateDoesNotExist
from django.template.backends.django import DjangoTemplates, Template, reraise
from django.template.context import make_context
from django.utils.safestring import SafeString


class PageTemplate(Template):
    """A template whose context ends with its rendering.

    The layers of a request's context point back at it, so that a page's rows would stay until the collector comes: a
    hundred pages later, and then the one that is just made waits for all of them.
    """

    def render(self, context: dict[str, Any] | None = None, request: HttpRequest | None = None) -> SafeString:
        """Return the text. Raises `TemplateDoesNotExist`, as Django's does."""
        made = make_context(context, request, autoescape=self.backend.engine.autoescape)
        try:
            return self.template.render(made)
        except TemplateDoesNotExist as error:
            reraise(error, self.backend)
            raise
        finally:
            made.dicts.clear()


class PageTemplates(DjangoTemplates):
    """Django's engine with such templates."""

    def get_template(self, template_name: str) -> PageTemplate:
        """Return the template of this name."""
        return PageTemplate(super().get_template(template_name).template, self)
