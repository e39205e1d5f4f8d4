"""HTML as tests look at it: elements with attributes, parents and text, made by the standard library's parser."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


@dataclass
class Element:
    tag: str
    attrs: dict[str, str]
    parent: "Element | None" = None
    children: list["Element | str"] = field(default_factory=list)

    @property
    def elements(self) -> list["Element"]:
        return [child for child in self.children if isinstance(child, Element)]

    @property
    def text(self) -> str:
        whole = "".join(child if isinstance(child, str) else child.text for child in self.children)
        return " ".join(whole.split())

    @property
    def classes(self) -> set[str]:
        return set(self.attrs.get("class", "").split())

    def all(self, tag: str | None = None, css_class: str | None = None, **attrs: str) -> list["Element"]:
        found = []
        for element in self.elements:
            is_wanted = tag in (None, element.tag) and (css_class is None or css_class in element.classes)
            if is_wanted and all(element.attrs.get(name.replace("_", "-")) == value for name, value in attrs.items()):
                found.append(element)
            found.extend(element.all(tag, css_class, **attrs))
        return found

    def one(self, tag: str | None = None, css_class: str | None = None, **attrs: str) -> "Element":
        found = self.all(tag, css_class, **attrs)
        assert len(found) == 1, f"{len(found)} of {tag} {css_class} {attrs}"
        return found[0]

    def by_id(self, name: str) -> "Element":
        return self.one(id=name)


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("", {})
        self.at = self.root

    def handle_starttag(self, tag, attrs):
        element = Element(tag, {name: value or "" for name, value in attrs}, self.at)
        self.at.children.append(element)
        if tag not in VOID:
            self.at = element

    def handle_startendtag(self, tag, attrs):
        self.at.children.append(Element(tag, {name: value or "" for name, value in attrs}, self.at))

    def handle_endtag(self, tag):
        place = self.at
        while place is not None and place.tag != tag:
            place = place.parent
        if place is not None and place.parent is not None:
            self.at = place.parent

    def handle_data(self, data):
        self.at.children.append(data)


def parse(html: str | bytes) -> Element:
    """Return the document, or the fragment, as a tree below a nameless root."""
    builder = _Builder()
    builder.feed(html.decode() if isinstance(html, bytes) else html)
    builder.close()
    return builder.root
