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

/** @param {(text: string) => void} apply */
export function compete(apply) {
  window.operate = (text) => timed(() => apply(text));
}

export const main = document.getElementById("main");
