// Buttons that copy a line. Without a clipboard (plain HTTP elsewhere than on this machine) they stay hidden.
for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) break;
  const words = button.textContent;
  button.hidden = false;
  button.addEventListener("click", async (event) => {
    event.preventDefault();
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "Copied";
    window.koda.announce(`Copied: ${button.dataset.copy}`);
    setTimeout(() => { button.textContent = words; }, 2000);
  });
}
