/* What test_focus.py asks of a page. */
({
  /* One control of each kind within a part of the page, opened where it was folded; kept by number. */
  gather: (within) => {
    for (const details of document.querySelectorAll(`${within} details`)) details.open = true;
    const kindOf = (one) => [one.localName, one.type, one.name, one.className, one.closest("[id]")?.id.replace(/\d+/g, "N"),
      one.localName === "button" && one.textContent.trim(), one.closest("li, section, article")?.className].join(" ");
    const kinds = new Map();
    for (const one of document.querySelectorAll(`:is(${within}) :is(a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex="0"])`)) {
      if (!one.disabled && one.checkVisibility({ visibilityProperty: true }) && !kinds.has(kindOf(one))) kinds.set(kindOf(one), one);
    }
    window.kinds = [...kinds.values()];
    return window.kinds.length;
  },

  /* Put the focus there, with the caret in the middle of half a word where one can type; say whether it could be. */
  hold: (number) => {
    const one = window.kinds[number];
    if (!one.isConnected || !one.checkVisibility()) return false;
    one.focus({ preventScroll: true });
    window.held = one;
    window.typed = one.matches("textarea, input:is([type=text], [type=search], :not([type]))");
    if (window.typed) { one.value = "half a word"; one.setSelectionRange(4, 6); }
    return document.activeElement === one;
  },

  /* Say what became of it: nothing, if it is where it was. */
  lost: () => {
    const { held, typed } = window;
    const now = document.activeElement;
    if (!held.isConnected) return `gone: ${held.outerHTML.slice(0, 160)}`;
    if (now !== held) return `the focus went to ${now.outerHTML.slice(0, 80)} from ${held.outerHTML.slice(0, 160)}`;
    if (typed && (held.value !== "half a word" || held.selectionStart !== 4 || held.selectionEnd !== 6)) return `words: ${held.outerHTML.slice(0, 160)}`;
    if (typed) held.value = held.defaultValue;
    return "";
  },

  /* Listen to what a screen reader is told. */
  listen: () => {
    window.said = [];
    const places = ":is([aria-live], [role=status], [role=alert], [role=log]):not([aria-live=off])";
    const hear = (changes) => {
      for (const { target, addedNodes } of changes) {
        const place = (target.nodeType === 1 ? target : target.parentElement)?.closest(places);
        if (place) window.said.push(place.textContent.trim());
        for (const one of addedNodes) if (one.matches?.(places)) window.said.push(one.textContent.trim());
      }
    };
    new MutationObserver(hear).observe(document.body, { subtree: true, childList: true, characterData: true });
  },
})
