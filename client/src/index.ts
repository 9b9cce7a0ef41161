/**
 * The start: reads the script tag and makes the page. `window.djust` is for developers and tests.
 *
 * `data-djust` holds the ticket, `data-socket` the path of the socket, `data-debug` stands in DEBUG.
 */
import { OWN } from "./dom";
import { Page } from "./page";

const SOCKET = "/djust/socket/";

function start(script: Element): void {
  const url = new URL(script.getAttribute("data-socket") ?? SOCKET, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  const page = new Page(url.href, script.getAttribute(OWN) ?? "", script.hasAttribute("data-debug"));
  const debug = {
    get resyncs() {
      return page.resyncs;
    },
    frames: page.frames,
    latency(milliseconds: number) {
      page.transport.latency = milliseconds;
    },
  };
  Object.assign(window, {
    djust: {
      get version() {
        return page.version;
      },
      get connected() {
        return page.connected;
      },
      debug,
      pushEvent: page.pushEvent.bind(page),
    },
  });
}

const script = document.querySelector(`script[${OWN}]`);
if (script) start(script);
