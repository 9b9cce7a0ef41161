/**
 * What a change of the server's does to the page, as the browser records it.
 */
/** Makes a change; what it did to the page is put into `records`, also if it fails. */
export function record(change: () => void, records: MutationRecord[]): void {
  const observer = new MutationObserver(() => {});
  observer.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
  try {
    change();
  } finally {
    records.push(...observer.takeRecords());
    observer.disconnect();
  }
}

/** The elements that were added and are still there, without what is in them. */
export const addedElements = (records: readonly MutationRecord[]): Element[] =>
  records.flatMap(({ addedNodes }) =>
    [...addedNodes].filter((node): node is Element => node instanceof Element && node.isConnected),
  );
