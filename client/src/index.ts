/**
 * The start: reads the script tag and makes the page. `data-djust` holds the ticket, `data-socket` the path of the socket.
 */
import { script } from "./global";
import { OWN } from "./marks";
import { Page } from "./page";

const SOCKET = "/djust/socket/";

function start(script: Element): void {
  const url = new URL(script.getAttribute("data-socket") ?? SOCKET, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  new Page(url.href, script.getAttribute(OWN) ?? "");
}

if (script) start(script);
