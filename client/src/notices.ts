/**
 * What the client itself adds to the page: a banner while the connection is gone, and in DEBUG an overlay with errors.
 *
 * Both are made by DOM calls, carry classes and no styles, and are marked so that they are nobody's content.
 */
import { OWN } from "./dom";

function make(name: string, className: string, text: string): HTMLElement {
  const element = document.createElement(name);
  element.className = className;
  element.textContent = text;
  return element;
}

function add(className: string, role: string, text = ""): HTMLElement {
  const element = make("div", className, text);
  element.setAttribute("role", role);
  element.setAttribute(OWN, "");
  document.body.append(element);
  return element;
}

let banner: HTMLElement | null = null;

export function showBanner(shown: boolean): void {
  if (shown && !banner?.isConnected) {
    banner = add("djust-banner", "status");
    banner.hidden = true;
    banner.textContent = "Reconnecting…";
  }
  if (banner) banner.hidden = !shown;
}

/** An error for the developer; it stays until it is closed, and the page goes on working. */
export function showError(text: string, detail: string): void {
  const overlay = add("djust-error", "alert");
  const button = make("button", "djust-error-close", "Close") as HTMLButtonElement;
  button.type = "button";
  button.addEventListener("click", () => overlay.remove());
  overlay.append(make("strong", "djust-error-text", text), make("pre", "djust-error-detail", detail), button);
}
