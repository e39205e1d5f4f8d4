// Find: Enter goes to the list of places, and what was looked for is shown where it stands.
const { koda } = window;
const list = document.querySelector("[data-follow]");

find();
showFound();
document.addEventListener("koda:loaded", showFound);

function find() {
  const field = document.getElementById("q");
  field?.addEventListener("keydown", (event) => {
    const first = event.key === "Enter" && document.querySelector("#found .hit");
    if (!first) return;
    event.preventDefault();
    field.blur();
    koda.mark(first);
  });
}

function showFound() {
  const MOST = 5000;
  const words = new URLSearchParams(location.search).get("find")?.trim().toLowerCase();
  if (!list || !words || !CSS.highlights) return;
  const ranges = [];
  const texts = document.createTreeWalker(list, NodeFilter.SHOW_TEXT);
  while (texts.nextNode() && ranges.length < MOST) {
    const text = texts.currentNode.data.toLowerCase();
    for (let at = text.indexOf(words); at >= 0 && ranges.length < MOST; at = text.indexOf(words, at + words.length)) {
      if (at + words.length > texts.currentNode.length) break;
      const range = new Range();
      range.setStart(texts.currentNode, at);
      range.setEnd(texts.currentNode, at + words.length);
      ranges.push(range);
    }
  }
  CSS.highlights.set("found", new Highlight(...ranges));
}
