// app.js: the catalog's page. Every answer comes from the server's API as the person who logged in; names are only ever
// put into the page as text.
"use strict";

const UC = "api/2.1/unity-catalog", OWN = "api/2.1/isthmus";
const main = document.getElementById("main"), tree = document.getElementById("tree"), q = document.getElementById("q");
const enc = encodeURIComponent;
const narrow = matchMedia("(max-width: 760px)");   // as in app.css: the tree is above what is shown, and stays closed

// An element: el("a", {href: "#/"}, "text", child, [children])
function el(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value != null) made.setAttribute(key, value);
  }
  made.append(...children.flat().filter(child => child != null && child !== false));
  return made;
}

class Refused extends Error {
  constructor(status, message) { super(message); this.status = status; }
}

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Refused(0, "The server does not answer. Is it still running?");
  }
  const text = await answer.text();
  if (!answer.ok) {
    let message = text;
    try { message = JSON.parse(text).message || text; } catch { /* not JSON: shown as it is */ }
    throw new Refused(answer.status, message || "The server answered " + answer.status);
  }
  return answer.headers.get("Content-Type").startsWith("application/json") ? JSON.parse(text || "{}") : text;
}

async function pages(path, member) {
  const found = [];
  let token = "";
  do {
    const page = await ask(path + (path.includes("?") ? "&" : "?") + "max_results=100" + (token && "&page_token=" + enc(token)));
    found.push(...(page[member] || []));
    token = page.next_page_token;
  } while (token && found.length < 2000);
  return found;
}

// ---- views ----------------------------------------------------------------------------------------------------------

let turn = 0;   // the newest view that was asked for; an older one that arrives later is not shown

function show(title, ...content) {
  document.title = title ? title + " - Isthmus" : "Isthmus catalog";
  main.replaceChildren(...content.flat().filter(Boolean));
}

function failed(error) {
  if (error.status === 401) return login();
  const missing = error.status === 404 || error.status === 403;
  show("Not shown", el("div", {class: "card", role: "alert"},
    el("h1", {}, missing ? "Not here, or not for you" : "That did not work"), el("p", {class: missing ? "" : "bad"}, error.message),
    missing && el("p", {class: "quiet"}, "Whoever owns it can grant you the privilege to see it."),
    el("p", {}, el("a", {href: "#/"}, "To the start"))));
}

function login(message) {
  tree.hidden = document.getElementById("logout").hidden = true;
  const token = el("input", {type: "password", id: "token", name: "token", autocomplete: "current-password", required: true});
  const note = el("p", {class: "bad", role: "alert"}, message || "");
  const form = el("form", {class: "card login"}, el("h1", {}, "Log in"),
    el("p", {class: "quiet"}, "With a token of this catalog. Yours is in the file token of the server's home, or whoever runs it gives you one."),
    el("label", {for: "token"}, "Token"), token, note, el("button", {class: "primary"}, "Log in"));
  form.addEventListener("submit", async event => {
    event.preventDefault();
    try {
      await ask("login", {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify({token: token.value})});
      await start();
    } catch (error) {
      note.textContent = error.status === 401 ? "This token is not valid, or no longer." : error.message;
      token.select();
    }
  });
  show("Log in", form);
  token.focus();
}

function grid(heads, rows, empty) {
  if (!rows.length) return el("p", {class: "quiet"}, empty);
  return el("table", {}, el("thead", {}, el("tr", {}, heads.map(head => el("th", {scope: "col"}, head)))),
    el("tbody", {}, rows.map(cells => el("tr", {}, cells.map(cell => el("td", {}, cell == null ? "" : cell))))));
}

const count = n => n == null || n < 0 ? "unknown" : n.toLocaleString("en");
const size = n => {
  if (n == null || n < 0) return "unknown";
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  for (; n >= 1024 && at < 4; at++) n /= 1024;
  return (at ? n.toFixed(1) : n) + "\u00a0" + units[at];
};
const time = ms => ms ? new Date(Number(ms)).toISOString().replace("T", " ").slice(0, 19) + " UTC" : "";
const facts = pairs => el("dl", {class: "facts"}, pairs.filter(([, value]) => value != null && value !== "").map(([key, value]) =>
  el("div", {}, el("dt", {}, key), el("dd", {}, value))));


// "Table in shop.clean": what it is, and the way up.
function about(kind, full, comment) {
  const parts = full.split(".");
  const up = parts.length > 1 && [" in ", el("a", {href: "#/catalog/" + enc(parts[0])}, parts[0]),
    parts.length > 2 && [".", el("a", {href: "#/schema/" + enc(parts.slice(0, 2).join("."))}, parts[1])]].flat();
  return [el("p", {class: "quiet"}, kind, up), comment && el("p", {}, comment)];
}

async function home() {
  const catalogs = await pages(UC + "/catalogs", "catalogs");
  show("", el("h1", {}, "Catalogs"), el("div", {class: "card"},
    grid(["Name", "Owner", "Comment"], catalogs.map(c => [el("a", {href: "#/catalog/" + enc(c.name)}, c.name), c.owner, c.comment]),
      "There is nothing that you may see. Ask for a grant: USE CATALOG, USE SCHEMA and SELECT let you read a table.")));
}

async function catalog(name) {
  const schemas = await pages(UC + "/schemas?catalog_name=" + enc(name), "schemas");
  show(name, el("h1", {}, name), about("Catalog", name), el("div", {class: "card"},
    grid(["Schema", "Owner", "Comment"], schemas.map(s => [el("a", {href: "#/schema/" + enc(s.full_name)}, s.name), s.owner, s.comment]),
      "No schema that you may see.")));
}

const CONTENTS = [["tables", "table"], ["volumes", "volume"], ["functions", "function"], ["models", "model"]];

async function contents(full) {
  const [catalogName, schemaName] = full.split(".");
  const where = "?catalog_name=" + enc(catalogName) + "&schema_name=" + enc(schemaName);
  const found = await Promise.all(CONTENTS.map(([path]) =>
    pages(UC + "/" + path + where, path === "models" ? "registered_models" : path).catch(error => {
      if (error.status === 401) throw error;
      return [];
    })));
  return found.flatMap((items, i) => items.map(item => ({kind: CONTENTS[i][1], name: item.name, full: full + "." + item.name,
    owner: item.owner, comment: item.comment})));
}

const link = item => item.kind === "table" || item.kind === "volume" || item.kind === "schema" || item.kind === "catalog"
  ? el("a", {href: "#/" + item.kind + "/" + enc(item.full)}, item.name || item.full) : el("span", {}, item.name || item.full);

async function schema(full) {
  const items = await contents(full);
  show(full, el("h1", {}, full), about("Schema", full), el("div", {class: "card"},
    grid(["Kind", "Name", "Owner", "Comment"], items.map(i => [el("span", {class: "kind"}, i.kind), link(i), i.owner, i.comment]),
      "Nothing in it that you may see.")));
}

async function search(text) {
  q.value = text;
  const {objects, truncated} = await ask(OWN + "/search?q=" + enc(text));
  show("Search", el("h1", {}, "Names with “" + text + "”"), el("div", {class: "card"},
    objects.length ? el("ul", {class: "plain", id: "found"}, objects.map(o =>
      el("li", {}, el("span", {class: "kind"}, o.kind), link({kind: o.kind, full: o.full_name}))))
      : el("p", {class: "quiet"}, "Nothing that you may see has this in its name."),
    truncated && el("p", {class: "quiet"}, "There are more: type more of the name.")));
}

// ---- a table --------------------------------------------------------------------------------------------------------

const TABS = {columns: "Columns", history: "History", grants: "Grants", lineage: "Lineage"};

async function table(full, tab) {
  const info = await ask(UC + "/tables/" + enc(full));
  tab = TABS[tab] ? tab : "columns";
  const panel = el("div", {role: "tabpanel", id: "panel", "aria-label": TABS[tab]}, el("p", {class: "quiet"}, "Loading..."));
  const tabs = el("div", {role: "tablist", "aria-label": "About the table"}, Object.entries(TABS).map(([key, label]) =>
    el("button", {role: "tab", type: "button", "aria-selected": String(key === tab), tabindex: key === tab ? 0 : -1, "aria-controls": "panel",
      onclick: () => { location.hash = key === "lineage" ? "#/lineage/" + enc(full) : "#/table/" + enc(full) + "/" + key; }}, label)));
  tabs.addEventListener("keydown", event => {
    const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
    if (!step) return;
    const all = [...tabs.children];
    const next = all[(all.indexOf(document.activeElement) + step + all.length) % all.length];
    next.focus();
  });
  const live = facts([["Type", info.table_type], ["Format", info.data_source_format], ["Owner", info.owner], ["Changed", time(info.updated_at)]]);
  show(full, el("h1", {}, full), about("Table", full, info.comment), live, tabs, panel);
  const fill = {columns: columnsTab, history: historyTab, grants: grantsTab, lineage: lineageTab}[tab];
  await fill(info, full, panel, live).catch(error => {
    if (error.status === 401) throw error;
    panel.replaceChildren(el("div", {class: "card", role: "alert"}, el("p", {}, error.message)));
  });
}

async function columnsTab(info, full, panel, live) {
  const properties = Object.entries(info.properties || {});
  panel.replaceChildren(el("div", {class: "card"}, grid(["Column", "Type", "Nullable", "Comment"], (info.columns || []).map(c =>
    [el("code", {}, c.name), el("code", {}, c.type_text), c.nullable === false ? "no" : "yes", c.comment]), "The catalog knows no columns of it.")),
  el("div", {class: "card"}, el("p", {class: "quiet"}, "Location"), el("p", {class: "code"}, info.storage_location || "none"),
    properties.length > 0 && grid(["Property", "Value"], properties.map(([k, v]) => [el("code", {}, k), el("code", {}, v)]), "")));
  try {
    const log = await ask(OWN + "/tables/" + enc(full) + "/history?limit=1");
    live.append(...facts([["Version", count(log.version)], ["Rows", count(log.rows)], ["Size", size(log.bytes)], ["Files", count(log.files)]]).children);
  } catch { /* without the right to read its data there are no figures of it */ }
}

async function historyTab(info, full, panel) {
  const log = await ask(OWN + "/tables/" + enc(full) + "/history?limit=100");
  panel.replaceChildren(el("div", {class: "card"}, grid(["Version", "When", "Operation", "By", "Rows written"], log.history.map(h =>
    [String(h.version), time(h.timestamp), h.operation, h.engineInfo, (h.operationMetrics || {}).numOutputRows]), "No commits are left in its log.")));
}

async function grantsTab(info, full, panel) {
  const parts = full.split(".");
  const levels = [["table", full], ["schema", parts.slice(0, 2).join(".")], ["catalog", parts[0]]];
  const rows = [];
  for (const [kind, name] of levels) {
    const answer = await ask(UC + "/permissions/" + kind + "/" + enc(name)).catch(error => {
      if (kind === "table" || error.status === 401) throw error;
      return {};
    });
    for (const one of answer.privilege_assignments || [])
      rows.push([one.principal, one.privileges.join(", "), kind === "table" ? "here" : "from " + kind + " " + name]);
  }
  panel.replaceChildren(el("div", {class: "card"}, el("p", {}, "Owner: ", el("strong", {}, info.owner || "nobody")),
    grid(["Principal", "Privileges", "Granted"], rows, "Nobody but the owner and the administrators has a grant.")));
}

async function lineageTab(info, full, panel) {
  await drawLineage(full, panel);
}

// ---- lineage --------------------------------------------------------------------------------------------------------

const looks = {depth: 3, columns: false};

async function drawLineage(name, panel) {
  const text = await ask(OWN + "/lineage?format=svg&table=" + enc(name) + "&depth=" + looks.depth + "&columns=" + looks.columns);
  const svg = document.importNode(new DOMParser().parseFromString(text, "image/svg+xml").documentElement, true);
  const toggle = el("button", {type: "button", "aria-pressed": String(looks.columns),
    onclick: () => { looks.columns = !looks.columns; drawLineage(name, panel).catch(failed); }}, "Columns");
  const deeper = el("label", {}, "Steps ", el("select", {id: "depth",
    onchange: event => { looks.depth = Number(event.target.value); drawLineage(name, panel).catch(failed); }},
    [1, 2, 3, 5, 10].map(n => el("option", {value: n, selected: n === looks.depth}, String(n)))));
  const only = svg.querySelectorAll(".card").length < 2 && !svg.querySelector(".pill");
  panel.replaceChildren(el("div", {class: "bar"}, toggle, deeper, el("span", {class: "quiet"}, "Choose a table to walk on.")),
    only ? el("div", {class: "card"}, el("p", {class: "quiet"}, "Nothing is known of where it came from, or where it went. Reads and writes by Spark, Ray and the isthmus command show up here."))
      : el("div", {class: "card graph"}, svg));
  const here = svg.querySelector(".here");   // where the graph is wider than the page
  if (here) svg.parentElement.scrollLeft += here.getBoundingClientRect().x - svg.parentElement.getBoundingClientRect().x - 40;
}

async function lineage(name) {
  if (/[/:]/.test(name)) {
    const panel = el("div", {});
    show(name, el("h1", {}, name), el("p", {class: "quiet"}, "Files"), panel);
    await drawLineage(name, panel);
  } else {
    await table(name, "lineage").catch(async error => {
      if (error.status === 401) throw error;
      const panel = el("div", {});   // dropped, or of another catalog: its lineage may still be known
      show(name, el("h1", {}, name), el("p", {class: "quiet"}, "Not in this catalog"), panel);
      await drawLineage(name, panel);
    });
  }
}

// ---- a volume -------------------------------------------------------------------------------------------------------

const folderLink = (full, folder, label) => el("a", {href: "#/volume/" + enc(full) + (folder && "/" + enc(folder))}, label);

async function volume(full, folder = "") {
  const info = await ask(UC + "/volumes/" + enc(full));
  const path = full.replaceAll(".", "/") + (folder && "/" + folder);
  const steps = folder ? folder.split("/") : [];
  const trail = el("p", {class: "code", id: "trail"}, folderLink(full, "", "/Volumes/" + full.replaceAll(".", "/")),
    steps.map((step, i) => [" / ", i + 1 < steps.length ? folderLink(full, steps.slice(0, i + 1).join("/"), step) : step]).flat());
  const files = el("div", {class: "card", id: "files"}, el("p", {class: "quiet"}, "Loading..."));
  show(full, el("h1", {}, full), about("Volume", full, info.comment),
    facts([["Type", info.volume_type], ["Owner", info.owner], ["Changed", time(info.updated_at)]]), trail, files,
    el("div", {class: "card"}, el("p", {class: "quiet"}, "Location"), el("p", {class: "code"}, info.storage_location),
      el("p", {class: "quiet"}, "To copy from it"), el("p", {class: "code"}, "isthmus fs cp --recursive /Volumes/" + path + " .")));
  const url = OWN + "/volumes/" + path.split("/").map(enc).join("/");
  await fillFolder(url, full, folder, files).catch(error => {
    if (error.status === 401) throw error;
    files.replaceChildren(el("p", {role: "alert"}, error.message));
  });
}

async function fillFolder(url, full, folder, files) {
  const rows = [];
  let page = {};
  const more = el("button", {type: "button", onclick: () => next().catch(failed)}, "More");
  async function next() {
    page = await ask(url + (page.next_start_after ? "?start_after=" + enc(page.next_start_after) : ""));
    rows.push(...page.folders.map(name => [folderLink(full, (folder && folder + "/") + name, name + "/"), "", ""]));
    rows.push(...page.objects.map(file => [el("code", {}, file.name), size(file.size), time(file.modified_ms)]));
    files.replaceChildren(grid(["Name", "Size", "Changed"], rows, folder ? "This folder is empty." : "No files yet."));
    if (page.folders_truncated) files.append(el("p", {class: "quiet"}, "There are more folders than are shown."));
    if (page.next_start_after) files.append(more);
  }
  await next();
}

// ---- tree, start ----------------------------------------------------------------------------------------------------

function branch(label, load) {
  const inside = el("div", {});
  const made = el("details", {}, el("summary", {}, label), inside);
  const fill = async () => {
    try {
      const items = await load();
      inside.replaceChildren(...(items.length ? items : [el("span", {class: "quiet"}, "nothing")]));
    } catch (error) {
      if (error.status === 401) return login();
      inside.replaceChildren(el("span", {class: "bad"}, error.message));
    }
    mark();
  };
  let filled;
  made.fill = () => filled ||= fill();
  made.addEventListener("toggle", () => made.open && made.fill());
  return made;
}

// Open the tree down to what is shown.
async function reveal() {
  const [, view, name] = location.hash.split("/");
  if (!["catalog", "schema", "table", "volume", "lineage"].includes(view) || narrow.matches) return;
  let level = tree;
  for (const part of decodeURIComponent(name).split(".").slice(0, 2)) {
    const step = [...level.children].find(child => child.localName === "details" && child.firstChild.textContent === part);
    if (!step) return;
    step.open = true;
    await step.fill();
    level = step.lastChild;
  }
}

async function fillTree() {
  const catalogs = await pages(UC + "/catalogs", "catalogs");
  tree.replaceChildren(...catalogs.map(c => branch(c.name, async () =>
    (await pages(UC + "/schemas?catalog_name=" + enc(c.name), "schemas")).map(s => branch(s.name, async () =>
      (await contents(s.full_name)).map(item => item.kind === "table" || item.kind === "volume" ? link(item)
        : el("span", {class: "quiet"}, item.name)))))));
  tree.hidden = !catalogs.length;
  if (catalogs.length === 1 && !narrow.matches) tree.firstChild.open = true;
}

function mark() {
  const name = location.hash.split("/")[2];
  for (const a of tree.querySelectorAll("a"))
    a.getAttribute("href").split("/")[2] === name ? a.setAttribute("aria-current", "page") : a.removeAttribute("aria-current");
}

const VIEWS = {"": home, catalog, schema, table, volume, lineage, search};

async function go() {
  const mine = ++turn;
  const [, view = "", ...rest] = location.hash.split("/");
  try {
    await (VIEWS[view] || home)(...rest.map(decodeURIComponent));
  } catch (error) {
    if (mine === turn) failed(error);
  }
  mark();
  await reveal();
}

async function start() {
  try {
    await fillTree();
    document.getElementById("logout").hidden = false;
    await go();
  } catch (error) {
    failed(error);
  }
}

document.getElementById("search").addEventListener("submit", event => {
  event.preventDefault();
  if (q.value.trim()) location.hash = "#/search/" + enc(q.value.trim());
});
document.getElementById("logout").addEventListener("click", async () => {
  await ask("logout", {method: "POST"}).catch(() => {});
  tree.replaceChildren();
  login();
});
document.addEventListener("keydown", event => {
  if (event.key === "/" && !/INPUT|SELECT|TEXTAREA/.test(document.activeElement.tagName)) {
    event.preventDefault();
    q.focus();
  }
});
window.addEventListener("hashchange", async () => { await go(); main.focus({preventScroll: true}); });
start();
