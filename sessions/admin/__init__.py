"""The admin: what is stored, for staff to look at; it changes things only through the same verbs as every door.

Importing the modules registers them.
"""

from django.contrib import admin

from sessions.admin import api_key, audit, conversation, kept, log, outgoing, session, user

__all__ = ["api_key", "audit", "conversation", "kept", "log", "outgoing", "session", "user"]

admin.site.site_header = admin.site.site_title = "Koda Web"
admin.site.index_title = "What is stored"
