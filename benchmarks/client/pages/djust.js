/**
 * Our page: a click, a frame of the server, and what the page's own script does with them. The
 * socket is wrapped before that script is loaded: its handler of answers is what is timed.
 */
import { echo } from "./common.js";

let handle = null;
const take = echo((data) => handle({ data }));

window.WebSocket = class extends WebSocket {
  set onmessage(handler) {
    handle = handler;
    super.onmessage = ({ data }) => (/^\[\d/.test(data) ? take(data) : handler({ data }));
  }
};

/** Gives the page the same two frames again and again, as numbers `version` and following. */
window.repeat = (frames, cycles) => {
  for (let at = 0; at < cycles; at++)
    for (const frame of frames) handle({ data: frame.replace(/^\[\d+,\d+/, `[0,${window.djust.version + 1}`) });
};
