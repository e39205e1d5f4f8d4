// Copying: the clipboard where the browser gives it, else the text is selected for the reader's own keys.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copies]");
  if (!button) return;
  const place = document.getElementById(button.dataset.copies);
  try {
    await navigator.clipboard.writeText(place.textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(place);
    button.textContent = "Selected";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
});
