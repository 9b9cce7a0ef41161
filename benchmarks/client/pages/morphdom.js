/** morphdom: the page is brought to the HTML of the new state. */
import morphdom from "morphdom";
import { compete, main } from "./common.js";

compete((text) => morphdom(main, text));
