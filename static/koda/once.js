// A form that is on its way is not sent again by a second click; where no answer comes, it can be after a while.
const FREE_AFTER = 10_000;
let sentAt = new WeakMap();
addEventListener("pageshow", () => { sentAt = new WeakMap(); });   // the reader came back to it

export function begin(event) {
  const form = event.target;
  if (event.type !== "submit" || form.method !== "post" || form.matches("[hx-post]")) return;
  if (event.timeStamp - sentAt.get(form) < FREE_AFTER) event.preventDefault();
  else sentAt.set(form, event.timeStamp);
}
