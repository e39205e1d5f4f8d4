/* What test_every_page.py asks of a page. */
({
  /* Elements that take the focus of who goes by keyboard without a ring, on them or around what holds them. */
  unringed: () => [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")]
  .filter((element) => element.checkVisibility({ visibilityProperty: true, opacityProperty: true }) && !element.disabled)
  .filter((element) => {
    element.focus({ preventScroll: true });
    if (document.activeElement !== element) return false;
    const isRing = (style) => style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1;
    for (let at = element, up = 0; at && up < 5; at = at.parentElement, up++) if (isRing(getComputedStyle(at))) return false;
    return true;
  }).map((element) => element.outerHTML.slice(0, 120)),

  /* The ways in which forms leave the page; the style page's lead nowhere. */
  forms: () => {
  const isSentByItself = (form) => {
    const senders = [...form.elements].filter((one) => one.type === "submit");
    return senders.some((one) => !one.hasAttribute("formaction")) || (!senders.length && [...form.elements].some((one) => /text|search/.test(one.type)));
  };
  return [...document.querySelectorAll("form, [formaction]")]
  .filter((one) => one.method !== "dialog" && !one.closest(".guide") && (one.matches("[formaction]") || isSentByItself(one)))
  .map((one) => one.matches("form") ? [one.method, new URL(one.getAttribute("action") ?? location.href, location).href] : [one.form.method, one.formAction]);
  },

  moving: () => [...document.querySelectorAll("*")].filter((element) => {
    const style = getComputedStyle(element);
    return style.animationName !== "none" || style.transitionDuration.split(",").some((one) => parseFloat(one) > 0);
  }).map((element) => element.outerHTML.slice(0, 120)),

  plain: () => [...document.querySelectorAll("select, [type=checkbox], [type=radio]")].filter((one) => getComputedStyle(one).appearance === "none").map((one) => one.name),

  /* What paper would show: what only a hand can use, what stays where it is, and what hides words in a box of its own. */
  printed: () => {
  const seen = [...document.querySelectorAll("body *")].filter((one) => one.checkVisibility() && !one.closest("svg, .unseen"));
  const said = (those) => those.map((one) => one.outerHTML.slice(0, 120));
  return {
    handles: said(seen.filter((one) => one.matches("button, .button, .top, .tabs, .foot, .rail, .composer"))),
    fixed: said(seen.filter((one) => /fixed|sticky/.test(getComputedStyle(one).position) && one.textContent.trim())),
    cut: said(seen.filter((one) => /auto|scroll/.test(getComputedStyle(one).overflowY) && one.scrollHeight > one.clientHeight + 1)),
    scheme: getComputedStyle(document.documentElement).colorScheme,
    words: document.querySelector("main").innerText.trim().length,
  };
  },

  /* Words that lie over other words: what happens when a stylesheet is lost or a column falls out of its grid. */
  overlaps: () => {
  const isFloating = (element) => element && (/fixed|sticky|absolute/.test(getComputedStyle(element).position) || isFloating(element.parentElement));
  const boxes = [];
  const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || parent.closest("svg, option, .unseen, [hidden]") || isFloating(parent) || !parent.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
    const range = document.createRange();
    range.selectNodeContents(walker.currentNode);
    for (const box of range.getClientRects()) if (box.width > 2 && box.height > 2) boxes.push([box, walker.currentNode.data.trim().slice(0, 30), parent, walker.currentNode]);
    if (boxes.length > 600) break;
  }
  const clip = (box, element) => {
    let [left, right, top, bottom] = [box.left, box.right, box.top, box.bottom];
    for (let at = element; at && at !== document.body; at = at.parentElement) if (getComputedStyle(at).overflow !== "visible") {
      const limit = at.getBoundingClientRect();
      [left, right, top, bottom] = [Math.max(left, limit.left), Math.min(right, limit.right), Math.max(top, limit.top), Math.min(bottom, limit.bottom)];
    }
    return { left, right, top, bottom, area: Math.max(0, right - left) * Math.max(0, bottom - top) };
  };
  const seen = boxes.map(([box, words, parent, node]) => [clip(box, parent), words, node]).filter(([box]) => box.area > 4);
  const found = [];
  for (let one = 0; one < seen.length; one++) for (let other = one + 1; other < seen.length; other++) {
    if (seen[one][2] === seen[other][2]) continue;
    const [a, b] = [seen[one][0], seen[other][0]];
    const across = Math.min(a.right, b.right) - Math.max(a.left, b.left), down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (across > 2 && down > 2 && across * down > 0.3 * Math.min(a.area, b.area)) found.push(`${seen[one][1]} | ${seen[other][1]}`);
  }
  return found;
},

  /* A picture as a grid: how much of each cell is not of the page's ground. */
  ink: async ([source, cells]) => {
  const picture = new Image();
  picture.src = source;
  await picture.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [picture.width, picture.height];
  const drawing = canvas.getContext("2d");
  drawing.drawImage(picture, 0, 0);
  const { data } = drawing.getImageData(0, 0, canvas.width, canvas.height);
  const ground = [data[4 * (canvas.width * (canvas.height - 2) + 2)], data[4 * (canvas.width * (canvas.height - 2) + 2) + 1]];
  const grid = new Array(cells * cells).fill(0);
  for (let y = 0; y < canvas.height; y += 2) for (let x = 0; x < canvas.width; x += 2) {
    const at = 4 * (y * canvas.width + x);
    if (Math.abs(data[at] - ground[0]) + Math.abs(data[at + 1] - ground[1]) > 60)
      grid[Math.floor(y * cells / canvas.height) * cells + Math.floor(x * cells / canvas.width)]++;
  }
  const size = canvas.width * canvas.height / 4 / cells / cells;
  return grid.map((count) => count / size);
},
})
