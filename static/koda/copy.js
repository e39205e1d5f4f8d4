// Buttons that copy a line. Without a clipboard (plain HTTP elsewhere than on this machine) they stay hidden.
function show() {
  for (const button of document.querySelectorAll("[data-copy][hidden]")) button.hidden = false;
}

async function copy(button) {
  const words = button.textContent;
  await navigator.clipboard.writeText(button.dataset.copy);
  button.textContent = "Copied";
  window.koda.announce(`Copied: ${button.dataset.copy}`);
  setTimeout(() => { button.textContent = words; }, 2000);
}

if (navigator.clipboard) {
  show();
  document.addEventListener("htmx:afterSettle", show);      // a list that grows brings new ones
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-copy]");
    if (!button || button.textContent === "Copied") return;
    event.preventDefault();
    copy(button);
  });
}
