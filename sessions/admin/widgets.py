"""Form controls of the admin, where Django's own lack something."""

from typing import Any

from django.contrib.admin.widgets import AdminSplitDateTime


class NamedDateTime(AdminSplitDateTime):
    """A date and a time, each named for a screen reader: Django's words stand beside them and are tied to none."""

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        """Return what the template shows."""
        context: dict[str, Any] = super().get_context(name, value, attrs)
        words = name.replace("_", " ").capitalize()
        for part, what in zip(context["widget"]["subwidgets"], ("date", "time"), strict=True):
            part["attrs"]["aria-label"] = f"{words}: {what}"
        return context
