/**
 * `dj-update="ignore"`: the content of the element belongs to scripts of the page, its attributes
 * to the server.
 *
 * Such an element has a shadow, a copy that is in no page, and the server's changes of its content
 * are made there. A shadow is its own shadow: so the core knows the nodes in it.
 */
import type { Module, Services } from "./core/modules";

const IGNORED = "[dj-update=ignore]";

export default function start({ shadows }: Services): Module {
  const add = (element: Element, shadow: Element) => shadows.set(element, shadow).set(shadow, shadow);
  for (const element of document.querySelectorAll(IGNORED)) add(element, element.cloneNode(true) as Element);
  return {
    changed({ added }) {
      for (const root of added())
        for (const element of [root, ...root.querySelectorAll(IGNORED)])
          if (element.matches(IGNORED) && !shadows.has(element)) add(element, separate(element));
    },
  };
}

/**
 * The tree knows the nodes that the server has added: they go into the shadow, and the page shows
 * copies of them.
 */
function separate(element: Element): Element {
  const shadow = element.cloneNode() as Element;
  const copies = [...element.childNodes].map((node) => node.cloneNode(true));
  shadow.append(...element.childNodes);
  element.append(...copies);
  return shadow;
}
