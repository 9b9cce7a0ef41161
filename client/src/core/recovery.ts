/**
 * Recovery: what the user had entered, for a server that has forgotten it.
 *
 * On a page that was restored or remounted, fields that the user has changed keep their values. If
 * the server has another value, the field sends its own again, by the events that typing and
 * choosing make, or by one that calls the handler of `dj-auto-recover`.
 */
import type { Bindings } from "./bindings";
import { isBox } from "./dom/attributes";
import { type Control, type Fields, fieldOf } from "./fields";
import { parseCall, readAttributes, readForm, readValue } from "./parameters";
import type { Waiting } from "./pending";
import { targetOf } from "./targets";

const CONTROLS = "input:not([type=file]),textarea,option";
const RECOVER = "dj-auto-recover";

const formOf = (field: Element): Element | null => (field as Control).form;

/**
 * Replays the fields that the user has changed and for which the server has another value, and
 * those of `lost` events. The values of `posted` events are on their way.
 */
export function replayFields(fields: Fields, bindings: Bindings, posted: Waiting[], lost: Waiting[]): void {
  const sent = posted.map(({ source }) => source);
  const unheard = lost.flatMap(({ isInput, source }) => (isInput && source?.isConnected ? [source] : []));
  const replayed = [...unheard, ...conflicting(fields)]
    .filter((field) => !sent.includes(field) && !sent.includes(formOf(field)))
    .map(recovererOf);
  for (const element of new Set(replayed)) replay(element, bindings);
  // The latest value of a field is sent when the event before it has ended.
  bindings.flush();
}

const conflicting = (fields: Fields): Element[] =>
  [...document.querySelectorAll<Control>(CONTROLS)]
    .filter((control) => fields.isChanged(fieldOf(control)) && differs(fields, control))
    .map(fieldOf);

/** The field, or its form, that has a handler of its own for this. */
const recovererOf = (field: Element): Element =>
  [field, formOf(field)].find((element) => element?.hasAttribute(RECOVER)) ?? field;

function replay(element: Element, bindings: Bindings): void {
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
  const way = { target: targetOf(element), submitted: false, isInput: true, exclusive: false, slot: "" };
  if (call) bindings.act({ ...call, params, element, source: element, ...way });
}

/** Of radio buttons, only the chosen one can differ. */
function differs(fields: Fields, control: Control & { checked?: boolean; selected?: boolean }): boolean {
  const name = control.nodeName === "OPTION" ? "selected" : isBox(control) ? "checked" : "value";
  const server = fields.serverValue(control, name);
  const shown = control[name];
  return name === "value"
    ? shown !== (server ?? "")
    : shown !== (server !== null) && (!!shown || control.type !== "radio");
}
