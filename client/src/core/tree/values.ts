/**
 * Values: writes one value into one part that is in the page, whichever kind of part it is.
 */
import { isLive, setAttribute } from "../dom/attributes";
import { lineStart } from "../dom/html";
import { isText, type Span, shadows, writeText } from "../dom/spans";
import type { TagValue, TextValue, Value } from "../protocol";
import { type Context, type Instance, spanOf } from "./instances";
import { ATTRIBUTE, MARK, RAW, TAG, TEXT } from "./marks";
import type { Fragment, Part } from "./plans";
import { morph, type Writer } from "./regions";

export function writePart(
  tree: Context,
  instance: Instance,
  part: Part,
  span: Span,
  value: Value,
  gently?: boolean,
): void {
  const element = instance.nodes[part.anchor] as Element;
  writeValue(tree, instance.fragment, part, element, () => spanOf(instance, part, span), value, gently);
}

/**
 * `span`: where content of the part stands. `gently`: it has not changed, but everything is written
 * again.
 */
export function writeValue(
  tree: Context,
  fragment: Fragment,
  part: Part,
  element: Element,
  span: () => Span,
  value: Value,
  gently = false,
): void {
  const { writer } = tree;
  if (part.kind === ATTRIBUTE) writeAttribute(writer, element, part.name, `${value}`, gently);
  else if (part.kind === TAG) writeTag(writer, element, part.name, value as TagValue, gently);
  else if (part.kind === RAW && element.nodeName === "TEXTAREA") writer(element, "value", `${value}`, gently);
  else if (part.kind !== TEXT || !writeOnlyText(tree, element, value, gently))
    writeContent(tree, span(), value as TextValue, fragment);
}

/**
 * The usual case, a text that is all there is in an element: as `writeContent` would do, with a
 * third of the calls. A text that has changed is not compared with the old one, which the browser
 * would have to copy for that.
 */
function writeOnlyText(tree: Context, element: Element | undefined, value: Value, gently: boolean): boolean {
  if (!element || typeof value === "object" || value === "" || shadows.has(element) || tree.edited())
    return false;
  const node = element.firstChild;
  if (!isText(node) || node.nextSibling) return false;
  const text = lineStart(element, `${value}`);
  if (!gently || node.data !== text) node.data = text;
  return true;
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
  // An attribute that neither the template nor the value names came from the value before.
  const rest = new Set([MARK, ...others.split(","), ...Object.keys(value)]);
  for (const name of element.getAttributeNames())
    if (!rest.has(name)) writeAttribute(writer, element, name, null, gently);
}

function writeContent(tree: Context, span: Span, value: TextValue, { namespace }: Fragment): void {
  if (tree.edited()?.contains(span.parent)) return;
  const region = typeof value === "object";
  const source = region ? value[0] : `${value}`;
  const shown = span.before ? source : lineStart(span.parent, source);
  if (region) morph(span, shown, namespace, tree.writer);
  else writeText(span, shown);
}
