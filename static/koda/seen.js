// The mark "done but unseen" is cleared, too, when a turn ends before the eyes of the session's owner.
document.addEventListener("koda:tick", () => {             // comes only while the page can be seen
  const mark = document.getElementById("just-done");
  if (!mark || mark.dataset.sent) return;
  mark.dataset.sent = "yes";
  const headers = { "X-CSRFToken": JSON.parse(document.body.getAttribute("hx-headers"))["x-csrftoken"] };
  fetch(mark.dataset.seen, { method: "POST", headers }).catch(() => mark.removeAttribute("data-sent"));
});
