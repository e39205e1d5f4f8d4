// Commands, code and outputs are copied with one click, or with y for the marked message.
const BLOCKS = "pre.code, pre.output, .args pre, .ask pre";
const { koda } = window;
const button = document.createElement("button");
button.type = "button";
button.className = "copy";
button.textContent = "Copy";
button.hidden = true;
let block = null;

async function copy(pre) {
  await navigator.clipboard.writeText(pre.textContent);
  document.dispatchEvent(new CustomEvent("koda:tell", { detail: { words: "Copied" } }));
}

// One button for the page: it comes to the block under the pointer or with the focus, and no block pays for its own.
function offer(pre) {
  if (!pre || (pre === block && button.isConnected)) return;
  block = pre;
  const box = pre.getBoundingClientRect();
  button.hidden = false;
  pre.after(button);
  const frame = button.offsetParent?.getBoundingClientRect() ?? { top: -scrollY, left: -scrollX };
  button.style.top = `${box.top - frame.top + 4}px`;
  button.style.left = `${box.right - frame.left - button.offsetWidth - 4}px`;
}

function takeAway() {
  block = null;
  button.remove();
}

if (navigator.clipboard) {
  document.addEventListener("pointerover", (event) => {
    if (button.contains(event.target)) return;
    const pre = event.target.closest?.(BLOCKS);
    if (pre) offer(pre);
    else if (!button.contains(document.activeElement)) takeAway();
  });
  document.addEventListener("focusin", (event) => offer(event.target.closest?.(BLOCKS)));
  button.addEventListener("click", () => block && copy(block));
  koda.keys.y = () => {
    const pre = document.querySelector(`[aria-current] :is(${BLOCKS})`);
    if (pre) copy(pre);
  };
}
