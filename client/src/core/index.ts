/**
 * The start: reads the script tag and makes the page. `data-djust` holds the join token,
 * `data-socket` the path of the socket.
 */
import { script } from "./global";
import { Page } from "./page";
import { OWN } from "./tree/marks";

const SOCKET = "/djust/socket/";

function start(script: Element): void {
  const url = new URL(script.getAttribute("data-socket") ?? SOCKET, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  new Page(url.href, script.getAttribute(OWN) ?? "");
}

if (script) start(script);
