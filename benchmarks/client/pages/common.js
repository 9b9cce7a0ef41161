/**
 * What is measured, the same for all: from handing over the received text until the page was changed by it, microtasks
 * included, layout not. Layout is done afterwards, unmeasured, and so is the collection of much garbage.
 */
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
 * A function that sends a text to a server that says nothing else, and gives it to `take` when it is back; it returns how
 * long that took. So every page gets its messages in the same way and at the same moment: by a socket, and not right
 * after a server had all the machine's caches for itself.
 *
 * @param {(text: string) => void} take
 */
export function echo(take) {
  const socket = new WebSocket(`ws://${location.host}/echo`);
  const open = new Promise((resolve) => {
    socket.onopen = resolve;
  });
  let finish;
  socket.onmessage = async ({ data }) => finish(await timed(() => take(data)));
  return async (text) => {
    await open;
    return new Promise((resolve) => {
      finish = resolve;
      socket.send(text);
    });
  };
}

/** @param {(text: string) => void} apply */
export function compete(apply) {
  window.operate = echo(apply);
}

export const main = document.getElementById("main");
