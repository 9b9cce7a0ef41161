/**
 * By hand: the fastest we know how to write. Rows are clones of one row, their text nodes are there
 * already; rows are found by position or number; a table that becomes another one is emptied at
 * once and filled out of the page.
 *
 * As `twin` it makes the same elements as our page, with their attributes: rows that have a class
 * and a key, links that know their row. It shows that the clicked element waits, too.
 */
import { compete, main } from "./common.js";

const table = main.querySelector("table");
const body = document.getElementById("rows");
const clicks = main.querySelector("p").firstChild;
const holder = document.createElement("template");
holder.innerHTML =
  '<tr><td class="col-md-1"> </td><td class="col-md-4"><a> </a></td><td class="col-md-1"><a>' +
  '<span class="glyphicon glyphicon-remove" aria-hidden="true"></span></a></td><td class="col-md-6"></td></tr>';
const model = document.importNode(holder.content.firstChild, true);

const twin = location.pathname.startsWith("/twin");

let rows = [];
let selected = null;

function describe(row, cell, number) {
  row.setAttribute("dj-key", number);
  row.className = "";
  cell.nextSibling.firstChild.setAttribute("data-row", number);
  cell.nextSibling.nextSibling.firstChild.setAttribute("data-row", number);
}

function append(list) {
  const empty = rows.length === 0;
  if (empty) body.remove();
  for (const [number, label] of list) {
    const row = model.cloneNode(true);
    const cell = row.firstChild;
    row.number = number;
    cell.firstChild.nodeValue = number;
    cell.nextSibling.firstChild.firstChild.nodeValue = label;
    if (twin) describe(row, cell, number);
    rows.push(row);
    body.appendChild(row);
  }
  if (empty) table.appendChild(body);
}

const find = (number) => rows.findIndex((row) => row.number === number);

const operations = {
  replace(list) {
    body.textContent = "";
    rows = [];
    selected = null;
    append(list);
  },
  append,
  labels(list) {
    for (const [at, label] of list) rows[at].firstChild.nextSibling.firstChild.firstChild.nodeValue = label;
  },
  select(number) {
    if (selected) selected.className = "";
    selected = rows[find(number)];
    selected.className = "danger";
  },
  swap([a, b]) {
    const [first, second] = [rows[a], rows[b]];
    const next = second.nextSibling;
    body.insertBefore(second, first);
    body.insertBefore(first, next);
    rows[a] = second;
    rows[b] = first;
  },
  remove(number) {
    const at = find(number);
    rows[at].remove();
    rows.splice(at, 1);
  },
  clicks(number) {
    clicks.nodeValue = number;
  },
};

let waiting = null;

function wait(element) {
  waiting = element;
  element.classList.add("dj-waiting");
  element.setAttribute("aria-busy", "true");
}

function stopWaiting() {
  waiting.classList.remove("dj-waiting");
  if (!waiting.classList.length) waiting.removeAttribute("class");
  waiting.removeAttribute("aria-busy");
}

compete(
  (text) => {
    if (twin) stopWaiting();
    const message = JSON.parse(text);
    for (const name in message) operations[name](message[name]);
  },
  twin ? wait : undefined,
);
