/**
 * Our page: an event, a frame of the server, and what the page's own script does with it. The socket is wrapped before
 * that script is loaded: the frame's handler is what is timed. No element shows that it waits, as nothing does elsewhere.
 */
import { echo } from "./common.js";

let finish = null;
let handle = null;
const take = echo((data) => handle({ data }));

window.WebSocket = class extends WebSocket {
  set onmessage(handler) {
    handle = handler;
    super.onmessage = async ({ data }) => {
      if (/^\[\d/.test(data)) finish({ time: await take(data), data });
      else handler({ data });
    };
  }
};

window.operate = (name, value) => {
  const answer = new Promise((resolve) => {
    finish = resolve;
  });
  window.djust.pushEvent("operate", { name, value });
  return answer;
};

/** Gives the page the same two frames again and again, as numbers `version` and following. */
window.repeat = (frames, cycles) => {
  for (let at = 0; at < cycles; at++)
    for (const frame of frames) handle({ data: frame.replace(/^\[\d+,\d+/, `[0,${window.djust.version + 1}`) });
};
