/**
 * The marks in HTML through which parts are found, and the kinds of parts; the reference is
 * `docs/protocol.md`.
 */

/**
 * The attribute of an element anchor, and the data of the comments around content and before a row.
 */
export const MARK = "dj";
export const OPEN = "[";
export const CLOSE = "]";
export const ROW = ",";

/** The attribute of the root element of a node that is not the page's root. */
export const NODE = "dj-node";
/** What the comment that opens the span of a node without a root element begins with. */
export const NODE_COMMENT = `${OPEN} ${NODE}="`;

// The first character of a descriptor; WHOLE stands before it.
export const TEXT = "t";
export const BRANCH = "b";
export const LOOP = "l";
export const ATTRIBUTE = "@";
export const TAG = "*";
export const RAW = "r";
export const WHOLE = "=";

/**
 * Marks the nodes that the client adds to the page: the script tag, the banner, the error overlay.
 */
export const OWN = "data-djust";
