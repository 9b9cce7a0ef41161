/**
 * Leaving: for another page, or for this one from the start.
 */

/** Loads a page again that cannot be brought up to date, but not in an endless loop. */
const RELOAD_PAUSE = 60_000;
const RELOADED = "djust:reloaded";

export function leaveFor(url: string): void {
  if (new URL(url, location.href).href === location.href) reload();
  else location.assign(url);
}

function reload(): void {
  const last = Number(sessionStorage.getItem(RELOADED));
  if (Date.now() - last < RELOAD_PAUSE) {
    console.error("djust: the page cannot be brought up to date");
    return;
  }
  sessionStorage.setItem(RELOADED, `${Date.now()}`);
  location.reload();
}
