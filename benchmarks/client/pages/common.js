/**
 * What is measured, the same for all: the script time from the event of a real click until the page
 * has changed. It has two parts: what listeners do until the event is on its way, and from handing
 * over the text of the answer until the page was changed by it, microtasks included. The way to the
 * server and back is not measured, and layout is not: it is done afterwards, and so is the
 * collection of much garbage.
 */
let clicked = 0;
let handling = 0;
let finish = null;

addEventListener(
  "click",
  () => {
    clicked = performance.now();
  },
  true,
);
addEventListener("click", () => {
  handling = performance.now() - clicked;
});

/** @param {() => void} apply */
async function timed(apply) {
  const start = performance.now();
  apply();
  await null;
  const time = performance.now() - start;
  document.body.offsetHeight;
  if (time > 1) gc();
  return time;
}

/**
 * A socket to a server that only repeats what it receives, and a function that gives the text to
 * `take` when it is back. So every page gets its answers in the same way and at the same moment: by
 * a socket, and not right after a server had all the machine's caches for itself.
 *
 * @param {(text: string) => void} take
 */
export function echo(take) {
  const socket = new WebSocket(`ws://${location.host}/echo`);
  const open = new Promise((resolve) => {
    socket.onopen = resolve;
  });
  socket.onmessage = async ({ data }) => finish({ time: handling + (await timed(() => take(data))), data });
  return async (text) => {
    await open;
    socket.send(text);
  };
}

/**
 * Where element number `index` of a selector is to be clicked; `window.done` is what came of it.
 *
 * @param {string} selector
 * @param {number} index
 */
window.aim = (selector, index) => {
  const element = document.querySelectorAll(selector)[index];
  element.scrollIntoView({ block: "center" });
  window.done = new Promise((resolve) => {
    finish = resolve;
  });
  const { x, y, width, height } = element.getBoundingClientRect();
  return [x + width / 2, y + height / 2];
};

/**
 * A page by hand: one listener for all clicks, which sends what was clicked. The answer, which was
 * made before, is `window.answer`.
 *
 * @param {(text: string) => void} apply
 * @param {(element: Element) => void} [wait]
 */
export function compete(apply, wait) {
  const answer = echo(apply);
  const socket = new WebSocket(`ws://${location.host}/echo`);
  socket.onmessage = () => answer(window.answer);
  document.addEventListener("click", ({ target }) => {
    const element = target.closest("button,a");
    if (!element) return;
    const { name, value } = element.dataset;
    const row = element.closest("tr");
    const handler = row ? (element.parentNode.className === "col-md-4" ? "select" : "remove") : "operate";
    const params = row ? { row: row.firstChild.textContent } : { name, value: Number(value) };
    socket.send(JSON.stringify([handler, params]));
    wait?.(element);
  });
}

export const main = document.getElementById("main");
