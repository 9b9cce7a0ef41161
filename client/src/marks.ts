/**
 * The marks in HTML through which parts are found, and the kinds of parts; the reference is `docs/protocol.md`.
 */

/** The attribute of an element anchor, and the data of the comments around content and before a row. */
export const MARK = "dj";
export const OPEN = "[";
export const CLOSE = "]";
export const ROW = ",";

// The first character of a descriptor; WHOLE stands before it.
export const TEXT = "t";
export const BRANCH = "b";
export const LOOP = "l";
export const ATTRIBUTE = "@";
export const TAG = "*";
export const RAW = "r";
export const WHOLE = "=";

/** Marks the nodes we add to the page beside the template's: the script tag, the banner, the error overlay. */
export const OWN = "data-djust";
