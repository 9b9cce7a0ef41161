/** What jsdom does not have and every browser does. */
globalThis.CSS ??= { escape: (text: string) => text.replace(/["\\]/g, "\\$&") } as typeof CSS;

if ("document" in globalThis) {
  const script = document.createElement("script");
  for (const [name, value] of Object.entries({
    src: "/djust.js",
    "data-djust": "",
  }))
    script.setAttribute(name, value);
  document.head.append(script);
  await import("../src/core/global");
  script.remove();
  document.adoptedStyleSheets ??= [];
  CSSStyleSheet.prototype.replaceSync ??= () => {};
}

export {};
