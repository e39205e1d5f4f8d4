"""Registers the app; its label is not "sessions", which belongs to django.contrib."""

from django.apps import AppConfig


class SessionsConfig(AppConfig):
    """Koda Web's one app."""

    name = "sessions"
    label = "koda_sessions"
    verbose_name = "Koda sessions"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Join what Django must be told about once the models are there."""
        from django.db.models.signals import post_migrate

        from sessions import checks  # noqa: F401 - registers itself
        from sessions.live import broadcast  # noqa: F401 - hears the bell, in commands too
        from sessions.models.search_index import install_after_migrate

        post_migrate.connect(install_after_migrate, sender=self)
