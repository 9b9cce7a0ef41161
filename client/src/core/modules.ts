/**
 * Modules: what only some pages need, each in a file of its own beside `djust.js`.
 *
 * The table below says which words in the page's HTML ask for which file; a new module is a line
 * here and a file `client/src/NAME.ts`, which ships as `djust.NAME.js`. Its default export is
 * called with the services of the core. A file that cannot be loaded is tried again after a while,
 * and at once when it is mentioned again.
 */
import type { Bindings } from "./bindings";
import { djust, script } from "./global";
import type { Json, Params } from "./protocol";
import { backoff } from "./transport";

/** In this order modules see the changes of the page. */
const MENTIONS: Record<string, string[]> = {
  ignored: ["dj-update"],
  outside: ["dj-window-", "dj-click-away"],
  hooks: ["dj-hook"],
};
/** All of these words begin with it. */
const DIRECTIVE = "dj-";

/** What the core passes to modules, so that it is not in their files as well. */
export interface Services {
  readonly bindings: Bindings;
  readonly shadows: WeakMap<Node, Element>;
  readonly initialRows: WeakMap<Node, Element[]>;
  /** Calls a handler of the node that `element` belongs to, or of the page's root. */
  pushEvent(handler: string, params?: Params, element?: Element): Promise<Json>;
}

/** What one change of the server has done to the page, as the browser has recorded it. */
export interface Changes {
  readonly records: readonly MutationRecord[];
  /** The elements that were added and are still there, without what is in them. */
  added(): Element[];
}

export interface Module {
  /** The last change is complete. */
  changed?(changes: Changes): void;
  notify?(callback: "disconnected" | "reconnected"): void;
}

type Start = (services: Services) => Module;
type Load = (url: string) => Promise<{ default?: Start }>;

/**
 * A file that was asked for: how often, and the timer of the next attempt after one that failed.
 */
interface Loading {
  attempt: number;
  retry?: number | undefined;
}

export class Modules {
  readonly #services: Services;
  readonly #load: Load;
  readonly #loading = new Map<string, Loading>();
  readonly #started = new Map<string, Module>();
  #records: MutationRecord[] = [];

  constructor(services: Services, load: Load = (url) => import(url)) {
    this.#services = services;
    this.#load = load;
    djust.hooks ??= {};
    djust.registerHook = (name, hook) => Object.assign(djust.hooks as object, { [name]: hook });
  }

  /** Loads what `html`, of the page or in a frame, mentions. */
  loadIfMentioned(html: string): void {
    if (!html.includes(DIRECTIVE)) return;
    for (const [name, words] of Object.entries(MENTIONS))
      if (words.some((word) => html.includes(word))) this.load(name);
  }

  /** Loads a module unless that is done or under way. */
  load(name: string): void {
    const loading = this.#loading.get(name) ?? { attempt: 0 };
    if (loading.attempt && !loading.retry) return;
    clearTimeout(loading.retry);
    loading.retry = undefined;
    this.#loading.set(name, loading);
    this.#load(urlOf(name, loading.attempt++)).then(
      ({ default: start }) => start && this.#started.set(name, start(this.#services)),
      (error) => {
        console.error(`djust: djust.${name}.js cannot be loaded yet:`, error);
        loading.retry = window.setTimeout(() => this.load(name), backoff(loading.attempt - 1));
      },
    );
  }

  /** Makes a change of the page, and records what it does, even if it fails. */
  watch(change: () => void): void {
    if (!this.#started.size) {
      change();
      return;
    }
    const observer = new MutationObserver(() => {});
    observer.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
    try {
      change();
    } finally {
      this.#records.push(...observer.takeRecords());
      observer.disconnect();
    }
  }

  /** The recorded changes are complete. */
  changed(): void {
    if (!this.#started.size) return;
    const records = this.#records.splice(0);
    const changes: Changes = { records, added: () => addedElements(records) };
    for (const module of this.#inOrder()) module.changed?.(changes);
  }

  notify(callback: "disconnected" | "reconnected"): void {
    for (const module of this.#inOrder()) module.notify?.(callback);
  }

  #inOrder(): Module[] {
    return Object.keys(MENTIONS).flatMap((name) => this.#started.get(name) ?? []);
  }
}

/** An attempt has an address of its own: some browsers remember that an address has failed. */
function urlOf(name: string, attempt: number): URL["href"] {
  const file = `djust.${name}.js`;
  // A storage that renames files has put their addresses into the tag.
  const renamed = script
    ?.getAttribute("data-modules")
    ?.split(" ")
    .find((url) => url.includes(`/djust.${name}.`));
  const url = new URL(renamed ?? file, script?.src);
  if (attempt) url.hash = `${attempt}`;
  return url.href;
}

const addedElements = (records: readonly MutationRecord[]): Element[] =>
  records.flatMap(({ addedNodes }) =>
    [...addedNodes].filter((node): node is Element => node instanceof Element && node.isConnected),
  );
