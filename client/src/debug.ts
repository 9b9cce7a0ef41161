/**
 * The tools of DEBUG, a file of its own: `window.djust.debug`. It comes before the client, which
 * calls what it finds.
 *
 *     djust.debug.latency(300)     every frame takes 300 ms longer, in both directions
 *     djust.debug.frames           the last hundred frames
 *
 * An error is shown in an overlay that stays until it is closed; the page goes on working.
 */
import type { Failure } from "../djust";
import { djust } from "./core/global";

const FRAMES_KEPT = 100;

const frames: [string, unknown, number][] = [];
const due: Record<string, number> = {};
let delay = 0;
let resyncs = 0;

function log(direction: string, text: string): void {
  const frame = JSON.parse(text);
  if (frames.push([direction, frame, Math.round(performance.now())]) > FRAMES_KEPT) frames.shift();
  if (frame[0] === "resync") resyncs++;
}

/** Lets frames of one direction through in order. */
function pass(direction: string, deliver: () => void): void {
  const now = performance.now();
  const then = Math.max(now + delay, due[direction] ?? 0);
  due[direction] = then;
  if (then <= now) deliver();
  else setTimeout(deliver, then - now);
}

class SlowSocket extends WebSocket {
  override send(text: string): void {
    log("out", text);
    pass("out", () => {
      if (this.readyState === WebSocket.OPEN) super.send(text);
    });
  }

  override get onmessage(): never {
    throw new Error("onmessage is only set");
  }

  override set onmessage(listener: (event: MessageEvent) => void) {
    this.addEventListener("message", (event) => {
      log("in", event.data);
      pass("in", () => listener(event));
    });
  }
}

function make(name: string, className: string, text: string): HTMLElement {
  const element = document.createElement(name);
  element.className = className;
  element.textContent = text;
  return element;
}

function failed({ text, detail }: Failure): void {
  const overlay = make("div", "djust-error", "");
  overlay.setAttribute("role", "alert");
  overlay.setAttribute("data-djust", "");
  const button = make("button", "djust-error-close", "Close") as HTMLButtonElement;
  button.type = "button";
  button.addEventListener("click", () => overlay.remove());
  overlay.append(make("strong", "djust-error-text", text), make("pre", "djust-error-detail", detail), button);
  document.body.append(overlay);
}

djust.Socket = SlowSocket as typeof WebSocket;
djust.debug = {
  latency(milliseconds) {
    delay = milliseconds;
  },
  frames,
  get resyncs() {
    return resyncs;
  },
  failed,
};
