/**
 * What only some pages need comes in a file of its own, `djust.more.js`: hooks, directives for events elsewhere, and what is
 * rarely needed.
 *
 * It is loaded when the page, or a frame, mentions one of these; from then on the changes of the page are recorded for it.
 */
import type { HookContext } from "../djust";
import type { Bindings } from "./bindings";
import type { Fields } from "./forms";
import { djust, script } from "./global";
import type { Waiting } from "./pending";

/** What `djust.more.js` makes; the names of its members are the same in both files. */
export interface More {
  /** Makes a change. */
  watch(change: () => void): void;
  /** Everything that belongs to the last change is made. */
  changed(): void;
  /**
   * Tells a page that has forgotten it what the user had entered, without what the events `posted` tell. The events `lost`
   * end: nobody knows whether they were executed.
   */
  resend(posted: Waiting[], lost: Waiting[], end: (ref: number, error?: string) => void): void;
  /** Another page, or this one from the start. */
  go(url: string): void;
  /** Does without a socket from the next attempt on. */
  post(): void;
  tell(callback: "disconnected" | "reconnected"): void;
}

export type Push = HookContext["pushEvent"];

const MENTIONED = /dj-(hook|update|window-|click-away)/;

export class Extras {
  _more: More | undefined;
  private _loading: Promise<unknown> | undefined;

  constructor(push: Push, bindings: Bindings, fields: Fields) {
    djust.hooks ??= {};
    djust.registerHook = (name, hook) => Object.assign(djust.hooks as object, { [name]: hook });
    djust.more = (make) => {
      this._more = make(push, bindings, fields);
    };
    this._look(document.documentElement.innerHTML);
  }

  /** Loads the file if `text` mentions what is in it. */
  _look(text: string): void {
    if (!this._loading && MENTIONED.test(text)) this._load();
  }

  _run(act: (more: More) => void): void {
    this._load().then(() => act(this._more as More));
  }

  private _load(): Promise<unknown> {
    const url = new URL(script?.getAttribute("data-more") ?? "djust.more.js", script?.src);
    this._loading ??= import(url as unknown as string);
    return this._loading;
  }
}
