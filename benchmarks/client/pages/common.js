/**
 * What is measured, the same for all: from handing over the received text until the page was changed by it, microtasks
 * included, layout not. Layout is done afterwards, unmeasured, and so is the collection of much garbage.
 */
/** @param {() => void} apply */
export async function timed(apply) {
  const start = performance.now();
  apply();
  await null;
  const time = performance.now() - start;
  document.body.offsetHeight;
  if (time > 1) gc();
  return time;
}

/**
 * The page's messages come by a socket, as ours do: what was asleep meanwhile is as cold for everybody.
 *
 * @param {(text: string) => void} apply
 */
export function compete(apply) {
  const socket = new WebSocket(`ws://${location.host}/echo`);
  const open = new Promise((resolve) => {
    socket.onopen = resolve;
  });
  let finish;
  socket.onmessage = async ({ data }) => finish(await timed(() => apply(data)));
  window.operate = async (text) => {
    await open;
    return new Promise((resolve) => {
      finish = resolve;
      socket.send(text);
    });
  };
}

export const main = document.getElementById("main");
