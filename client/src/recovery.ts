/**
 * What the user had entered, for a server that has forgotten it.
 *
 * Of a page that was restored or mounted anew, the fields that the user has changed keep what stands in them. Those of
 * which the server says something else say so again, by the events that typing and choosing make, or by one that calls
 * the handler of `dj-auto-recover`.
 */
// Nothing but types and functions: what is imported twice would be made twice, the policy for Trusted Types among it.
import type { Bindings } from "./bindings";
import type { Control, Fields } from "./forms";
import { parseCall, readAttributes, readForm, readValue } from "./parameters";
import type { Waiting } from "./pending";

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
const RECOVER = "dj-auto-recover";

const fieldOf = (control: Element): Element => control.closest("select") ?? control;
const formOf = (field: Element): Element | null => (field as Control).form;

/**
 * Has the fields that the user has changed speak again where the server says something else, and those of `lost` events.
 * What `posted` events tell is on its way.
 */
export function resend(
  fields: Fields,
  bindings: Bindings,
  posted: Waiting[],
  lost: Waiting[],
  end: (ref: number, error?: string) => void,
): void {
  const told = posted.map(({ source }) => source);
  const silenced = lost.flatMap(({ entry, source }) => (entry && source?.isConnected ? [source] : []));
  const speakers = [...silenced, ...disputed(fields)]
    .filter((field) => !told.includes(field) && !told.includes(formOf(field)))
    .map(speakerOf);
  for (const speaker of new Set(speakers)) speak(speaker, bindings);
  // The latest of what a field has to say goes when the event before it has ended.
  bindings.flush();
  for (const { ref, entry } of lost) end(ref, entry ? undefined : "The page was renewed.");
}

const disputed = (fields: Fields): Element[] =>
  [...document.querySelectorAll<Control>(CONTROLS)]
    .filter((control) => fields.changed.has(fieldOf(control)) && differs(fields, control))
    .map(fieldOf);

/** The field, or its form, that has a handler of its own for this. */
const speakerOf = (field: Element): Element =>
  [field, formOf(field)].find((element) => element?.hasAttribute(RECOVER)) ?? field;

function speak(element: Element, bindings: Bindings): void {
  const source = element.getAttribute(RECOVER);
  if (source === null) {
    for (const name of ["input", "change"]) element.dispatchEvent(new Event(name, { bubbles: true }));
    return;
  }
  const call = parseCall(source);
  const values =
    element instanceof HTMLFormElement
      ? readForm(element, null)
      : { value: readValue(element), field: element.getAttribute("name") ?? "" };
  const params = { ...readAttributes(element), ...values };
  const way = { element, source: element, given: false, entry: true, once: false, slot: "" };
  if (call) bindings._act({ ...call, params, ...way });
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
