"""Keys in paths: any text is one, slashes and line feeds too."""

from django.urls import register_converter
from django.urls.converters import PathConverter


class MetadataKey(PathConverter):
    """The rest of a path. Django's own converter ends at a line feed."""

    regex = "(?s:.+)"


register_converter(MetadataKey, "metadata_key")
