/**
 * `dj-update="ignore"`: the content of the element belongs to scripts of the page, its attributes to the server.
 *
 * Such an element has a shadow, a copy that is in no page, and the server's changes of its content are made there.
 */
import { addedElements } from "./changes";
import { djust } from "./global";

const IGNORED = "[dj-update=ignore]";

const shadows = new WeakMap<Element, Element>();
djust.shadows = shadows;

for (const element of document.querySelectorAll(IGNORED))
  shadows.set(element, element.cloneNode(true) as Element);

/** Of what the server has added the nodes are known already: they become the shadow's, and copies of them are shown. */
export function ignore(records: readonly MutationRecord[]): void {
  for (const added of addedElements(records))
    for (const element of [added, ...added.querySelectorAll(IGNORED)]) {
      if (!element.matches(IGNORED) || shadows.has(element)) continue;
      const shadow = element.cloneNode() as Element;
      const copies = [...element.childNodes].map((node) => node.cloneNode(true));
      shadow.append(...element.childNodes);
      element.append(...copies);
      shadows.set(element, shadow);
    }
}
