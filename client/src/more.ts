/**
 * The start of `djust.more.js`: hooks, directives for events elsewhere, and what is rarely needed.
 */
import { record } from "./changes";
import { Distant } from "./distant";
import { djust, script } from "./global";
import { Hooks } from "./hooks";
import { ignore } from "./ignored";
import { go, resend } from "./recovery";
import { writtenRows } from "./written";

djust.written = writtenRows();

djust.more?.((push, bindings, fields) => {
  const distant = new Distant(bindings);
  const records: MutationRecord[] = [];
  const hooks = new Hooks(push);
  return {
    watch: (change) => record(change, records),
    changed() {
      const last = records.splice(0);
      ignore(last);
      distant.settle(last);
      hooks.settle(last);
    },
    resend: (...events) => resend(fields, bindings, ...events),
    go,
    post() {
      import(new URL(script?.getAttribute("data-post") ?? "djust.post.js", script?.src) as unknown as string);
    },
    tell: (callback) => hooks.all(callback),
  };
});
