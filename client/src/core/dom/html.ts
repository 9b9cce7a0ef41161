/**
 * From HTML to nodes. The documents of templates are inert: nothing loads, no custom element wakes,
 * and scripts never run, not even after they were inserted.
 */
import type { Namespace } from "../protocol";
import { isElement } from "./spans";

interface Policy {
  createHTML(html: string): string;
}

interface PolicyFactory {
  createPolicy(name: string, rules: Policy): Policy;
}

const WRAPPERS = ["", "svg", "math"];
/** Elements of which the parser drops a line break right after the start tag. */
const DROPS_LINE_BREAK = ["PRE", "LISTING"];

const identity: Policy = { createHTML: (html) => html };

function makePolicy(): Policy {
  try {
    const factory = (window as { trustedTypes?: PolicyFactory }).trustedTypes;
    return factory?.createPolicy("djust", identity) ?? identity;
  } catch {
    // The page's CSP does not list our policy: only plain strings may still work.
    return identity;
  }
}

const policy = makePolicy();

/** The nodes of `html` under one parent, parsed as in a template, or inside `<svg>` or `<math>`. */
export function parse(html: string, namespace: Namespace = 0): Node {
  const template = document.createElement("template");
  const wrapper = WRAPPERS[namespace];
  template.innerHTML = policy.createHTML(wrapper ? `<${wrapper}>${html}</${wrapper}>` : html);
  return (wrapper && template.content.firstChild) || template.content;
}

/** The nodes of `html` as the parser makes them inside `parent`, under a copy of it. */
export function parseInside(parent: Node, html: string, namespace: Namespace): Node {
  if (!isElement(parent)) return parse(html, namespace);
  const inert = document.createElement("template").content.ownerDocument;
  const shell = inert.importNode(parent, false);
  shell.innerHTML = policy.createHTML(html);
  return shell;
}

/** The root element of a whole document. */
export const parseDocument = (html: string): Element =>
  new DOMParser().parseFromString(policy.createHTML(html), "text/html").documentElement;

/** What the parser leaves of `source` at the start of `parent`. */
export const lineStart = (parent: Node, source: string): string =>
  source.startsWith("\n") && DROPS_LINE_BREAK.includes(parent.nodeName) ? source.slice(1) : source;

/** A copy of what is in `shell`, made for the page's document. */
export function importContent(shell: Node): DocumentFragment {
  const batch = new DocumentFragment();
  for (const node of [...shell.childNodes]) batch.append(document.importNode(node, true));
  return batch;
}
