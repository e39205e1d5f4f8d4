// Which two are compared stays as the reader marked them, also when a newer checkpoint comes in above.
const chosen = new Map();

export function begin({ target }) {
  if (target.matches(".tree .ends input")) chosen.set(target.name, target.value);
}

document.addEventListener("htmx:afterSettle", () => {
  for (const [name, value] of chosen) {
    const mark = document.querySelector(`.tree .ends input[name="${name}"][value="${value}"]`);
    if (mark) mark.checked = true;
  }
});
