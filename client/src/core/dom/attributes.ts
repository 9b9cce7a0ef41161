/**
 * Attributes: set as the parser would set them; and those that stand for something that the user
 * can change.
 */
import { parse } from "./html";

/** Attributes that stand for something the user can change, and the elements where they do. */
const LIVE: Record<string, string[]> = {
  value: ["INPUT"],
  checked: ["INPUT"],
  selected: ["OPTION"],
  open: ["DETAILS", "DIALOG"],
};
/** Types of inputs that are ticked. */
const BOXES = ["checkbox", "radio"];
/** Types of inputs whose `value` is not what the user types. */
const FIXED = [...BOXES, "submit", "button", "reset", "image", "hidden", "file"];

export const isLive = (element: Element, name: string): boolean =>
  !!LIVE[name]?.includes(element.nodeName) &&
  !(name === "value" && FIXED.includes((element as HTMLInputElement).type));

/**
 * Whether the element holds text that the user can change, or what stands for text: a date, a
 * colour.
 */
export const holdsText = (node: Node | null): node is HTMLInputElement =>
  !!node && (node.nodeName === "TEXTAREA" || isLive(node as Element, "value"));

export const isBox = (element: Element): boolean => BOXES.includes((element as HTMLInputElement).type);

/** Whether the DOM takes an attribute of this name, and means what the parser means by it. */
const isDomName = (name: string): boolean => /^[\w-]+$/.test(name);

/** Whether `setAttribute` of the DOM is all there is to writing an attribute of this name. */
export const isPlainName = (name: string): boolean => isDomName(name) && !(name in LIVE);

/**
 * Sets an attribute as the parser would, or removes it (`null`); equal values are not written
 * again.
 */
export function setAttribute(element: Element, name: string, value: string | null): void {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== value) addAttribute(element, name, value);
}

/** `setAttribute` for an element that is known not to have the value. */
export function addAttribute(element: Element, name: string, value: string): void {
  if (isDomName(name)) element.setAttribute(name, value);
  else {
    // The parser knows the namespace of `xlink:href` in SVG, and accepts names like `@click`.
    const svg = /svg$|MathML$/.test(`${element.namespaceURI}`) ? 1 : 0;
    const [made] = (parse(`<a ${name}>`, svg).firstChild as Element).attributes;
    const attribute = (made as Attr).cloneNode() as Attr;
    attribute.value = value;
    element.setAttributeNode(attribute);
  }
}
