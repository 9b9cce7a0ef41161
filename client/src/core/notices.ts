/**
 * What the client itself adds to the page: a banner while the connection is gone, and a notice of
 * what went wrong.
 *
 * Both are marked as the client's own. Their style sheet is made by a constructor, which a content
 * security policy without inline styles allows. It has no specificity, so the page's own rules for
 * `.djust-banner` and `.djust-notice` win. If the page has a hidden banner of its own, that is
 * used.
 */
import type { Failure } from "../../djust";
import { djust } from "./global";
import { OWN } from "./tree/marks";

const NOTICE_SHOWN = 8000;
const STYLE = ":where(div[data-djust]){position:fixed;bottom:0;background:#fe9;color:#000}";

const sheet = new CSSStyleSheet();
sheet.replaceSync(STYLE);
document.adoptedStyleSheets.push(sheet);

/**
 * The text is added after the element: screen readers announce changes in a region that they know.
 */
function add(className: string, role: string, text: string): HTMLElement {
  const element = document.createElement("div");
  element.className = className;
  element.setAttribute("role", role);
  element.setAttribute(OWN, "");
  document.body.append(element);
  element.textContent = text;
  return element;
}

/** Dispatches `djust:${name}`; false if a script has prevented what would follow. */
export const announce = (name: string, detail?: unknown, target: Element | Document = document): boolean =>
  target.dispatchEvent(new CustomEvent(`djust:${name}`, { bubbles: true, cancelable: true, detail }));

export function showBanner(shown: boolean): void {
  const found = document.querySelector<HTMLElement>(".djust-banner");
  const banner = found ?? (shown ? add("djust-banner", "status", "Reconnecting…") : null);
  if (banner) banner.hidden = !shown;
}

/**
 * Reports a failure to the console, to the page's scripts (`djust:error`), and by a notice to the
 * user unless a script has prevented it.
 */
export function report(target: Element | null, failure: Failure): void {
  console.error(`djust: ${failure.text}`, failure.detail);
  if (!announce("error", failure, target?.isConnected ? target : document)) return;
  if (djust.debug) djust.debug.failed(failure);
  else {
    const notice = add("djust-notice", "alert", failure.text);
    setTimeout(() => notice.remove(), NOTICE_SHOWN);
  }
}
