/**
 * What the user had entered, for a server that has forgotten it.
 *
 * Of a page that was mounted anew, the fields that the user has changed keep what stands in them. Those of which the server
 * says something else say so again, by the events that typing and choosing make.
 */
// Nothing but types: what is imported twice would be made twice, the policy for Trusted Types among it.
import type { Control, Fields } from "./forms";

/** A page that cannot be brought up to date is loaded again, but not in a circle. */
const RELOAD_PAUSE = 60_000;
const RELOADED = "djust:reloaded";

export function go(url: string): void {
  if (new URL(url, location.href).href === location.href) reload();
  else location.assign(url);
}

function reload(): void {
  const last = Number(sessionStorage.getItem(RELOADED));
  if (Date.now() - last < RELOAD_PAUSE) {
    console.error("djust: the page cannot be brought up to date");
    return;
  }
  sessionStorage.setItem(RELOADED, `${Date.now()}`);
  location.reload();
}

const CONTROLS = "input:not([type=file]),textarea,option";

const fieldOf = (control: Element): Element => control.closest("select") ?? control;

export function resend(fields: Fields): void {
  const disputed = new Set<Element>();
  for (const control of document.querySelectorAll<Control>(CONTROLS)) {
    const field = fieldOf(control);
    if (fields.changed.has(field) && differs(fields, control)) disputed.add(field);
  }
  for (const field of disputed)
    for (const name of ["input", "change"]) field.dispatchEvent(new Event(name, { bubbles: true }));
}

/** Of radio buttons, the one that is chosen speaks. */
function differs(fields: Fields, control: Control & { checked?: boolean; selected?: boolean }): boolean {
  const name =
    control.nodeName === "OPTION"
      ? "selected"
      : /^(checkbox|radio)$/.test(control.type)
        ? "checked"
        : "value";
  const said = fields.said(control, name);
  const shown = control[name];
  return name === "value"
    ? shown !== (said ?? "")
    : shown !== (said !== null) && (!!shown || control.type !== "radio");
}
