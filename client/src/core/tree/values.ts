/**
 * Values: writes one value into one part that is in the page, whichever kind of part it is.
 */
import { isLive, setAttribute } from "../dom/attributes";
import { lineStart } from "../dom/html";
import type { Span } from "../dom/spans";
import { writeText } from "../dom/spans";
import type { TagValue, TextValue, Value } from "../protocol";
import { type Instance, spanOf } from "./instances";
import { ATTRIBUTE, MARK, RAW, TAG } from "./marks";
import type { Fragment, Part } from "./plans";
import { morph, type Writer } from "./regions";

/** `gently`: not because it changed but because everything is written again. */
export function writeValue(
  writer: Writer,
  instance: Instance,
  part: Part,
  value: Value,
  span: Span,
  gently = false,
): void {
  const element = instance.nodes[part.anchor] as Element;
  if (part.kind === ATTRIBUTE) writeAttribute(writer, element, part.name, `${value}`, gently);
  else if (part.kind === TAG) writeTag(writer, element, part.name, value as TagValue, gently);
  else if (part.kind === RAW && element.nodeName === "TEXTAREA") writer(element, "value", `${value}`, gently);
  else writeContent(writer, spanOf(instance, part, span), value as TextValue, instance.fragment);
}

function writeAttribute(
  writer: Writer,
  element: Element,
  name: string,
  value: string | null,
  gently: boolean,
): void {
  if (isLive(element, name)) writer(element, name, value, gently);
  else setAttribute(element, name, value);
}

function writeTag(writer: Writer, element: Element, others: string, value: TagValue, gently: boolean): void {
  for (const name of Object.keys(value))
    writeAttribute(writer, element, name, value[name] as string | null, gently);
  if (!gently) return;
  // What neither the template names nor the value holds was the part's before.
  const rest = new Set([MARK, ...others.split(","), ...Object.keys(value)]);
  for (const name of element.getAttributeNames())
    if (!rest.has(name)) writeAttribute(writer, element, name, null, gently);
}

function writeContent(writer: Writer, span: Span, value: TextValue, { namespace }: Fragment): void {
  if (editedElement()?.contains(span.parent)) return;
  const region = typeof value === "object";
  const source = region ? value[0] : `${value}`;
  const shown = span.before ? source : lineStart(span.parent, source);
  if (region) morph(span, shown, namespace, writer);
  else writeText(span, shown);
}

/** The element whose text the user is editing: nothing is written into it. */
function editedElement(): Element | null | undefined {
  const { activeElement: active, body } = document;
  // By the attribute: `isContentEditable` would make the browser compute styles for every frame.
  if (active === body && !body.hasAttribute("contenteditable")) return null;
  return active?.closest("[contenteditable]:not([contenteditable=false])");
}
