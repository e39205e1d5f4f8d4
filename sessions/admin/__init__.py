"""The admin: what is stored, for staff to look at; it changes things only through the same verbs as every door.

Importing the modules registers them.
"""

from sessions.admin import api_key, conversation, kept, log, session, user

__all__ = ["api_key", "conversation", "kept", "log", "session", "user"]
