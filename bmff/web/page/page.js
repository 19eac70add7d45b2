// The live page of a node. It hears of everything by server-sent events, and looks at the API for
// what events do not carry. All text goes in as text, never as markup.

const SPAN = 300; // seconds of a plot
const SILENCE = 10000; // ms without an event after which a stream is taken for dead
const KEPT = 200; // last calls and messages
const STEP = 50; // rows of a table that are shown at first
const NODES = 36; // that are drawn
const SVG = "http://www.w3.org/2000/svg";

const state = {
  network: 0, boot: "", right: "nothing", draining: false,
  calls: new Map(), heard: [], peers: new Map(), links: new Map(), nodes: [], series: new Map(),
  networks: [], overrides: [], bad: [], health: [], messages: [], names: new Map(), system: null, last: 0,
};
const element = (id) => document.getElementById(id);

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function setAttributes(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
  }
  return node;
}

function add(parent, tag, attributes = {}, text = "") {
  const node = document.createElement(tag);
  setAttributes(node, attributes);
  node.textContent = text;
  return parent.appendChild(node);
}

// ---- words

const hour = (at) => new Date(at).toLocaleTimeString([], { hour12: false });
const percent = (part) => `${part < 0.0005 ? 0 : (100 * part).toFixed(part < 0.0995 ? 1 : 0)} %`;
const level = (loss) => (loss > 0.05 ? "bad" : loss > 0.01 ? "warn" : "");
const milliseconds = (seconds) =>
  seconds === null || seconds === undefined ? "" : `${(1000 * seconds).toFixed(seconds < 0.01 ? 1 : 0)} ms`;

function span(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (number) => String(number).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)}:${two(whole % 60)}`;
  if (whole < 86400) return `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
  return `${Math.floor(whole / 86400)} d ${Math.floor(whole / 3600) % 24} h`;
}

// A peer is a hotspot or repeater that is logged in here, another node, or a way to another network.
function radioOf(peer) {
  return peer > 0xffffff ? Math.floor(peer / 100) : peer;
}

function nameOf(radio) {
  return state.names.get(radio) || "";
}

function via(peer) {
  const known = state.peers.get(peer);
  if (known) return [known.callsign || String(peer), known.callsign ? String(peer) : ""];
  if (state.links.has(peer)) return [`node ${peer}`, (state.links.get(peer).transport || "")];
  const other = state.networks.find((each) => each.peer === peer);
  if (other) return [other.name, other.kind];
  return [String(peer), ""];
}

const target = (call) => `${call.private ? "radio" : "TG"} ${call.destination}`;
const lossOf = (call) => (call.frames + call.lost > 0 ? call.lost / (call.frames + call.lost) : 0);

// ---- tables: one row for each key, changed in place

class Table {
  // columns: [heading, class, cell(row) -> text or [word, more, class], paint(td, row)]
  constructor(id, caption, columns, classOf = () => "") {
    this.root = element(`${id}-table`);
    this.none = element(`${id}-none`);
    this.more = element(`${id}-more`);
    this.columns = columns;
    this.classOf = classOf;
    this.rows = new Map();
    this.most = { heard: 12, messages: 10, health: 15, overrides: 15 }[id] || STEP;
    // Said once more in words, as the narrow page takes tables apart.
    this.root.setAttribute("role", "table");
    add(this.root, "caption", { class: "spoken" }, caption);
    const head = add(add(this.root, "thead", { role: "rowgroup" }), "tr", { role: "row" });
    for (const [heading, name] of columns) {
      add(head, "th", { scope: "col", role: "columnheader", class: name }, heading);
    }
    this.body = add(this.root, "tbody", { role: "rowgroup" });
    if (this.more) {
      this.more.addEventListener("click", () => {
        this.most += 4 * STEP;
        mark(id);
      });
    }
  }

  show(keyed, total = keyed.length) {
    this.root.hidden = !keyed.length;
    if (this.none) this.none.hidden = keyed.length > 0;
    const shown = keyed.slice(0, this.most);
    const keys = new Set(shown.map(([key]) => key));
    for (const [key, row] of this.rows) {
      if (!keys.has(key)) {
        row.remove();
        this.rows.delete(key);
      }
    }
    let next = this.body.firstElementChild;
    for (const [key, content] of shown) {
      let row = this.rows.get(key);
      if (!row) {
        row = this.make();
        this.rows.set(key, row);
      }
      if (row === next) next = next.nextElementSibling;
      else this.body.insertBefore(row, next);
      this.fill(row, content);
    }
    if (this.more) {
      this.more.hidden = shown.length >= total;
      setText(this.more, `Show more (${total - shown.length} are left)`);
    }
  }

  make() {
    const row = document.createElement("tr");
    row.setAttribute("role", "row");
    for (const [heading, name] of this.columns) {
      const cell = add(row, "td", { role: "cell", "data-label": heading });
      cell.dataset.own = name;
      cell.className = name;
      add(cell, "span", { class: "word" });
      add(cell, "span", { class: "sub" });
    }
    return row;
  }

  fill(row, content) {
    const name = this.classOf(content);
    if (row.className !== name) row.className = name;
    this.columns.forEach(([, , cellOf, paint], index) => {
      const cell = row.children[index];
      const made = cellOf(content);
      const [word, more = "", style = ""] = Array.isArray(made) ? made : [made];
      setText(cell.firstChild, word);
      setText(cell.firstChild.nextSibling, more);
      cell.firstChild.nextSibling.hidden = !more;
      const whole = `${cell.dataset.own} ${style} ${word || (paint && !cell.classList.contains("empty")) ? "" : "empty"}`.trim();
      if (cell.className !== whole) cell.className = whole;
      if (paint) paint(cell, content);
    });
  }
}

const who = (call) => {
  const name = nameOf(call.source);
  return [name || String(call.source), name ? String(call.source) : ""];
};
const slots = (number) => (peer) => {
  const slot = peer.slots[number];
  if (!slot) return "";
  return [...slot.static.map(String), ...slot.dynamic.map((each) => `+${each}`)].join(", ");
};

function spark(name, index, unit) {
  return (cell, link) => {
    const values = (state.series.get(link.node) || { points: [] }).points.map((each) => each[index]);
    cell.classList.toggle("empty", !values.length && !cell.firstChild.textContent);
    let plot = cell.lastChild;
    if (plot.nodeName !== "svg") {
      plot = document.createElementNS(SVG, "svg");
      setAttributes(plot, { role: "img", viewBox: "0 0 110 22", preserveAspectRatio: "none" });
      const line = document.createElementNS(SVG, "line");
      plot.append(setAttributes(line, { x1: 0, x2: 110, y1: 21.5, y2: 21.5 }), document.createElementNS(SVG, "path"));
      cell.append(plot);
    }
    plot.toggleAttribute("hidden", !values.length);
    const known = values.filter((each) => each !== null);
    const top = Math.max(unit === "loss" ? 0.05 : 0.002, ...known);
    let path = "";
    let pen = "M";
    values.forEach((value, place) => {
      if (value === null) {
        pen = "M";
        return;
      }
      const x = 110 - ((values.length - 1 - place) * 110) / (SPAN - 1);
      path += `${pen}${x.toFixed(1)} ${(20.5 - (19 * value) / top).toFixed(1)}`;
      pen = "L";
    });
    const say = unit === "loss" ? percent : milliseconds;
    const most = known.length ? say(Math.max(...known)) : "nothing measured";
    const minutes = Math.round(SPAN / 60);
    setAttributes(plot, {
      class: `plot ${unit === "loss" ? level(known.at(-1) || 0) : ""}`.trim(),
      "aria-label": `${name} over the last ${minutes} minutes, at most ${most}`,
    });
    setAttributes(plot.lastChild, { d: path });
  };
}

const carrying = (link) => (link && link.paths.find((each) => each.carries)) || null;

const tables = {
  now: new Table("now", "Calls that are on", [
    ["Who", "strong", who],
    ["To", "", target],
    ["From", "", (call) => via(call.peer)],
    ["Slot", "", (call) => String(call.slot)],
    ["Time", "number time", (call) => span((performance.now() - call.begun) / 1000)],
    ["Lost", "number", (call) => [call.measured ? percent(lossOf(call)) : "–", "", level(lossOf(call))]],
  ]),
  heard: new Table("heard", "Calls that are over, the last one first", [
    ["Ended", "", (call) => hour(call.ended)],
    ["Who", "strong", who],
    ["To", "", (call) => [target(call), call.data ? "data" : ""]],
    ["From", "", (call) => via(call.peer)],
    ["Time", "number", (call) => span(call.duration)],
    ["Lost", "number", (call) => [percent(lossOf(call)), "", level(lossOf(call))]],
    ["End", "", (call) => (call.reason === "terminator" ? "" : call.reason)],
  ]),
  peers: new Table("peers", "Hotspots and repeaters that are logged in, by ID; talkgroups with + were keyed", [
    ["Callsign", "strong", (peer) => [peer.callsign || String(peer.id), peer.callsign ? String(peer.id) : ""]],
    ["Slot 1", "", slots("1")],
    ["Slot 2", "", slots("2")],
    ["Place", "", (peer) => peer.location || ""],
    ["Software", "", (peer) => peer.package || peer.software || ""],
    ["Since", "number", (peer) => (peer.since ? span((Date.now() - Date.parse(peer.since)) / 1000) : "")],
  ], (peer) => (state.talking.has(peer.id) ? "live" : "")),
  links: new Table("links", "The nodes, and the path of the link to each", [
    ["Node", "strong", (node) => String(node.node)],
    ["Path", "", (node) => {
      const link = state.links.get(node.node);
      if (!link) return [node.state, node.reason || "", node.state === "unreachable" ? "bad" : ""];
      const ready = link.paths.filter((path) => !path.carries).map((path) => path.transport);
      return [link.transport || "no path", ready.length ? `${ready.join(", ")} stands by` : "", "path"];
    }],
    ["Round trip", "number", (node) => milliseconds((carrying(state.links.get(node.node)) || {}).round_trip),
      spark("Round trip", 0, "time")],
    ["Loss", "number", (node) => {
      const path = carrying(state.links.get(node.node));
      return path ? [percent(path.loss), "", level(path.loss)] : "";
    }, spark("Loss", 1, "loss")],
  ], (node) => (state.links.has(node.node) ? ((state.series.get(node.node) || {}).live ? "live" : "") : node.state)),
  health: new Table("health", "How the parts of the node do", [
    ["Part", "strong", (check) => check.Name],
    ["State", "", (check) => [check.Status, "", { warning: "warn", critical: "bad" }[check.Status] || ""]],
    ["Why", "", (check) => check.Output],
  ]),
  networks: new Table("networks", "Bridges and uplinks to other networks, and what has crossed each", [
    ["Name", "strong", (row) => [row.name, row.enhanced ? "enhanced bridge" : row.kind]],
    ["State", "", (row) => (row.crosses ? ["up", row.address || ""] : [row.state, row.reason || "", "warn"])],
    ["Heard", "number", (row) => (row.heard === null || row.heard === undefined ? "" : span(row.heard))],
    ["Sent", "number", (row) => String(row.frames_sent)],
    ["Received", "number", (row) => String(row.frames_received)],
    ["Dropped", "number", (row) => String(row.total)],
  ], (row) => (state.talking.has(row.peer) ? "live" : "")),
  overrides: new Table("overrides", "The overrides, and what has become of each", [
    ["Node", "strong", (row) => String(row.node)],
    ["Wants", "", (row) => [row.transport, row.address ? `${row.address}${row.port ? ` ${row.port}` : ""}` : ""]],
    ["State", "", (row) => [row.state, "", row.state === "in use" ? "" : "warn"]],
    ["Why", "", (row) => row.reason],
  ]),
  messages: new Table("messages", "What has happened, the last first", [
    ["At", "", (message) => hour(message.at)],
    ["What", "text", (message) => [message.text, "", message.style]],
  ]),
};

// ---- drawing: what has changed, once a picture

const dirty = new Set();
let wanted = false;
state.talking = new Set();

function mark(...names) {
  for (const name of names) dirty.add(name);
  if (!wanted) {
    wanted = true;
    requestAnimationFrame(draw);
  }
}

const drawings = {
  head() {
    setText(element("title"), `Node ${state.network || ""}`);
    const title = `${state.calls.size ? `(${state.calls.size}) ` : ""}node ${state.network || ""}`;
    if (document.title !== title) document.title = title;
    const known = state.system;
    const facts = known
      ? [known.environment, `bmff ${known.version}`, `up ${span(known.uptime + (performance.now() - known.seen) / 1000)}`,
        `${(known.memory / 1048576).toFixed(0)} MiB`, `turns at most ${milliseconds(known.lag)} late`]
      : [];
    if (state.draining) facts.push("it is being emptied");
    setText(element("facts"), facts.filter(Boolean).join(" · "));
    const sign = element("sign");
    sign.hidden = !state.network && state.right !== "nothing";
    setText(sign, state.token ? "Sign out" : "Sign in");
    element("send").hidden = state.right !== "control";
  },
  now() {
    const calls = [...state.calls.entries()].sort((one, other) => other[1].begun - one[1].begun);
    tables.now.show(calls);
    element("now").classList.toggle("busy", calls.length > 0);
    setText(element("now-count"), calls.length ? String(calls.length) : "");
  },
  heard() {
    const total = state.heard.length;
    tables.heard.show(state.heard.map((call) => [call.key, call]));
    setText(element("heard-count"), total ? String(total) : "");
  },
  peers() {
    const words = element("filter").value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const found = [];
    for (const peer of state.peers.values()) {
      if (words.length) {
        peer.words ??= [peer.callsign, peer.id, peer.location, peer.software, peer.package, slots("1")(peer),
          slots("2")(peer)].join(" ").toLowerCase();
        if (!words.every((word) => peer.words.includes(word))) continue;
      }
      found.push([peer.id, peer]);
    }
    tables.peers.show(found);
    const all = state.peers.size;
    const count = words.length ? `${found.length} of ${all}` : String(all || "");
    setText(element("peers-count"), count);
    setText(element("peers-none"), all ? "The filter fits none." : "None is logged in.");
  },
  links() {
    tables.links.show(state.nodes.map((node) => [node.node, node]));
    const up = state.nodes.filter((node) => state.links.has(node.node)).length;
    setText(element("links-count"), state.nodes.length ? `${up} of ${state.nodes.length} linked` : "");
    drawMap();
  },
  health() {
    const order = ["critical", "warning", "passing"];
    const rows = [...state.health].sort((one, other) => order.indexOf(one.Status) - order.indexOf(other.Status));
    tables.health.show(rows.map((check) => [check.CheckID, check]));
    const wrong = rows.filter((check) => check.Status !== "passing").length;
    setText(element("health-count"), wrong ? `${wrong} of ${rows.length} not well` : rows.length ? "all well" : "");
  },
  networks() {
    tables.networks.show(state.networks.map((row) => [`${row.kind} ${row.name}`, row]));
    const up = state.networks.filter((row) => row.crosses).length;
    setText(element("networks-count"), state.networks.length ? `${up} of ${state.networks.length} up` : "");
  },
  overrides() {
    const bad = state.bad.map((row, place) => [`bad ${place}`,
      { node: row.table, transport: row.row, state: "cannot be used", reason: row.reason }]);
    tables.overrides.show([...state.overrides.map((row) => [row.node, row]), ...bad]);
    setText(element("overrides-count"), state.overrides.length ? String(state.overrides.length) : "");
  },
  messages() {
    tables.messages.show(state.messages.map((message) => [message.key, message]));
  },
};

function draw() {
  wanted = false;
  const now = [...dirty];
  dirty.clear();
  for (const name of now) drawings[name]();
}

// ---- the map

const drawn = new Map();

function drawMap() {
  const map = element("map");
  const nodes = state.nodes.slice(0, NODES);
  map.toggleAttribute("hidden", !nodes.length);
  if (!nodes.length) return;
  const width = Math.max(260, map.clientWidth || 640);
  const height = nodes.length < 3 ? 96 : nodes.length < 7 ? 180 : 250;
  map.style.height = `${height}px`;
  const [x, y] = [width / 2, height / 2];
  setAttributes(map, { viewBox: `0 0 ${width} ${height}` });
  const said = [];
  const keep = new Set(["own"]);
  nodes.forEach((node, place) => {
    const link = state.links.get(node.node);
    const angle = (2 * Math.PI * place) / nodes.length + (nodes.length === 2 ? 0 : -Math.PI / 2);
    const [toX, toY] = [x + (x - 46) * Math.cos(angle), y + (y - 26) * Math.sin(angle)];
    const live = link && (state.series.get(node.node) || {}).live;
    const name = link ? `linked ${live ? "live" : ""}` : node.state;
    const way = link ? link.transport || "no path" : node.state;
    said.push(`${node.node} ${link ? `over ${way}` : way}`);
    keep.add(node.node);
    const group = part(map, node.node, name.trim());
    put(group.children[0], { x1: x, y1: y, x2: toX, y2: toY, class: "edge" });
    put(group.children[1], { cx: toX, cy: toY, r: 7 });
    const below = toY > y + 4 || (Math.abs(toY - y) <= 4);
    put(group.children[2], { x: toX, y: below ? toY + 20 : toY - 11 }, String(node.node));
    const room = nodes.length <= Math.max(6, width / 36); // what is not linked is seen by its line
    put(group.children[3], { x: x + (toX - x) * 0.56, y: y + (toY - y) * 0.56 + 4, class: "way" }, link && room ? way : "");
  });
  const own = part(map, "own", "own");
  put(own.children[1], { cx: x, cy: y, r: 9 });
  put(own.children[2], { x, y: y + 24, class: "way" }, String(state.network));
  map.append(own); // above the lines
  for (const [key, group] of drawn) {
    if (!keep.has(key)) {
      group.remove();
      drawn.delete(key);
    }
  }
  setAttributes(map, { "aria-label": `Map: node ${state.network} in the middle; ${said.join(", ")}` });
  const left = state.nodes.length - nodes.length;
  element("map-more").hidden = left <= 0;
  setText(element("map-more"), `${left} more nodes are in the table only.`);
}

function part(map, key, name) {
  let group = drawn.get(key);
  if (!group) {
    group = document.createElementNS(SVG, "g");
    for (const tag of ["line", "circle", "text", "text"]) group.append(document.createElementNS(SVG, tag));
    drawn.set(key, map.appendChild(group));
  }
  return setAttributes(group, { class: name });
}

function put(node, attributes, text = null) {
  for (const [name, value] of Object.entries(attributes)) {
    setAttributes(node, { [name]: typeof value === "number" ? value.toFixed(1) : value });
  }
  if (text !== null) setText(node, text);
}

// ---- what happens

let messageCount = 0;

function tell(at, text, style = "") {
  state.messages.unshift({ key: ++messageCount, at, text, style });
  state.messages.length = Math.min(state.messages.length, KEPT);
  mark("messages");
}

const keyOf = (call) => `${call.stream} ${call.source}`;

function retalk() {
  state.talking = new Set([...state.calls.values()].map((call) => call.peer));
  mark("now", "peers", "networks", "head");
}

// The stream ID of data changes from one transmission to the next.
function findCall(over) {
  if (state.calls.has(keyOf(over)) || !over.data) return keyOf(over);
  for (const [key, call] of state.calls) {
    if (call.source === over.source && call.destination === over.destination && call.peer === over.peer) return key;
  }
  return keyOf(over);
}

const same = (one, other) =>
  keyOf(one) === keyOf(other) && Math.abs(Date.parse(one.ended) - Date.parse(other.ended)) < 1500;
const row = (over) => ({ ...over, key: `${keyOf(over)} ${over.ended}` });

function callOver(call) {
  state.calls.delete(findCall(call));
  if (!state.heard.slice(0, STEP).some((over) => same(over, call))) state.heard.unshift(row(call));
  state.heard.length = Math.min(state.heard.length, KEPT);
  mark("heard");
  retalk();
}

// What the node says of calls that are over; the page may know of newer ones, by an event that came
// meanwhile or from a node that has started again since.
function mergeHeard(ended) {
  const newer = state.heard.filter((over) =>
    (!ended.length || over.ended >= ended[0].ended) && !ended.some((each) => same(each, over)));
  state.heard = [...newer, ...ended.map(row)].slice(0, KEPT);
  mark("heard");
}

function learn(peer) {
  if (peer.callsign) state.names.set(radioOf(peer.id), peer.callsign);
}

let announced = 0;
let announcing = 0;

// For screen readers: one sentence for calls that begin, never more than one in three seconds.
function announce(call) {
  if (!element("announce").checked) return;
  clearTimeout(announcing);
  const wait = Math.max(0, announced + 3000 - performance.now());
  announcing = setTimeout(() => {
    announced = performance.now();
    const [name] = who(call);
    const others = state.calls.size - 1;
    const to = `${call.private ? "radio" : "talkgroup"} ${call.destination}`;
    setText(element("said"), `${name} talks to ${to}${others > 0 ? `, and ${others} others talk` : ""}`);
  }, wait);
}

const happenings = {
  CallStarted(event) {
    const call = { ...event, begun: performance.now(), frames: 0, lost: 0, measured: false };
    state.calls.set(keyOf(call), call);
    retalk();
    announce(call);
    soon("calls", 1000);
  },
  CallEnded(event) {
    callOver({ ...event, ended: event.at });
  },
  CallRefused: (event) => tell(event.at, `The call of ${who(event)[0]} to ${target(event)} is refused: ${event.reason}`, "warn"),
  PeerRegistered(event) {
    const known = state.peers.get(event.peer);
    const peer = known || { id: event.peer, slots: {}, since: event.at };
    Object.assign(peer, { callsign: event.callsign, words: undefined });
    learn(peer);
    state.peers.set(event.peer, peer);
    if (!known) sortPeers();
    if (!event.again) tell(event.at, `${event.callsign || event.peer} has logged in${event.verified ? "" : ", without proof"}`);
    mark("peers");
    soon("peers", 3000);
  },
  PeerLost(event) {
    state.peers.delete(event.peer);
    tell(event.at, `${event.callsign || event.peer} is gone: ${event.reason}`);
    mark("peers");
  },
  LoginRefused: (event) => tell(event.at, `${event.peer} was not let in: ${event.reason}`, "warn"),
  PeerMoved: (event) => tell(event.at, `${event.callsign || event.peer} comes from another address`),
  DuplicatePeerSeen: (event) => tell(event.at, `Two hotspots seem to have the ID ${event.peer}`, "warn"),
  OptionsNotUnderstood: (event) => tell(event.at, `Options of ${via(event.peer)[0]} have no effect: ${event.text}`, "warn"),
  SubscriptionChanged(event) {
    const peer = state.peers.get(event.peer);
    if (!peer) return;
    peer.slots[event.slot] = { ...peer.slots[event.slot], static: event.static, dynamic: event.dynamic };
    peer.words = undefined;
    mark("peers");
  },
  TalkerAliasReceived(event) {
    state.names.set(event.radio, event.text);
    mark("now", "heard");
  },
  RadioPositionReceived() {},
  LinkStarted(event) {
    tell(event.at, `The link to node ${event.node} is up, over ${event.transport}`);
    linksChanged();
  },
  LinkEnded(event) {
    state.links.delete(event.node);
    tell(event.at, `The link to node ${event.node} is over: ${event.reason}`, "bad");
    mark("links");
    linksChanged();
  },
  PathChanged(event) {
    const link = state.links.get(event.node);
    if (link) {
      link.transport = event.transport;
      for (const path of link.paths) path.carries = path.transport === event.transport;
    }
    tell(event.at, `The link to node ${event.node} runs over ${event.transport} now`);
    mark("links");
    linksChanged();
  },
  PathTried: (event) => tell(event.at, `${event.transport} to node ${event.node} is tried`),
  PathFailed(event) {
    tell(event.at, `${event.transport} to node ${event.node} cannot be had: ${event.reason}`, "warn");
    linksChanged();
  },
  PathStarted(event) {
    tell(event.at, `${event.transport} to node ${event.node} is there`);
    linksChanged();
  },
  PathEnded(event) {
    tell(event.at, `${event.transport} to node ${event.node} has ended: ${event.reason}`, "warn");
    linksChanged();
  },
  NodeUnreachable(event) {
    tell(event.at, `Node ${event.node} cannot be reached: ${event.reason}`, "bad");
    linksChanged();
  },
  BridgeStarted: (event) => networkChanged(event, `The bridge ${event.name} is up`),
  BridgeMoved: (event) => networkChanged(event, `The other end of the bridge ${event.name} has moved`),
  BridgeEnded: (event) => networkChanged(event, `The bridge ${event.name} is down: ${event.reason}`, "bad"),
  UplinkStarted: (event) => networkChanged(event, `The uplink ${event.name} is logged in`),
  UplinkEnded: (event) => networkChanged(event, `The uplink ${event.name} is logged in no longer: ${event.reason}`, "bad"),
  UplinkRefused: (event) => networkChanged(event, `The uplink ${event.name} cannot log in: ${event.reason}`, "warn"),
  DuplicateNodeSeen: (event) => tell(event.at, `Two processes speak as node ${event.node}`, "bad"),
  TextReceived: (event) => tell(event.at, `${nameOf(event.source) || event.source} writes to ${target(event)}: ${event.text ?? "(texts take a token)"}`),
  LinksMeasured: measured,
};

function measured(event) {
  const now = new Set();
  for (const each of event.links) {
    now.add(each.node);
    const link = state.links.get(each.node);
    if (!link) {
      soon("links", 300);
      continue;
    }
    link.transport = each.transport;
    link.paths = each.paths;
    let series = state.series.get(each.node);
    if (!series) state.series.set(each.node, (series = { points: [], frames: null, live: false }));
    const path = carrying(each);
    series.points.push(path ? [path.round_trip, path.loss] : [null, null]);
    if (series.points.length > SPAN) series.points.shift();
    const frames = each.paths.reduce((sum, one) => sum + one.frames_sent + one.frames_received, 0);
    series.live = series.frames !== null && frames > series.frames;
    series.frames = frames;
  }
  for (const [node, series] of state.series) {
    if (now.has(node)) continue;
    if (!state.nodes.some((each) => each.node === node)) {
      state.series.delete(node);
      continue;
    }
    series.points.push([null, null]);
    if (series.points.length > SPAN) series.points.shift();
    series.live = false;
  }
  mark("links");
}

function linksChanged() {
  soon("links", 300);
  soon("overrides", 600);
  soon("health", 800);
}

function networkChanged(event, text, style = "") {
  tell(event.at, text, style);
  soon("networks", 300);
  soon("health", 800);
}

function sortPeers() {
  state.peers = new Map([...state.peers].sort((one, other) => one[0] - other[0]));
}

// ---- looking at the API

class Status extends Error {
  constructor(status) {
    super(`status ${status}`);
    this.status = status;
  }
}

async function get(path) {
  const answer = await fetch(path, { headers: { Accept: "application/json" }, signal: AbortSignal.timeout(15000) });
  if (answer.status === 401) throw new Status(401);
  return answer.json(); // /health has an answer whatever its status is
}

async function post(path, body) {
  const answer = await fetch(path, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  });
  return [answer.status, await answer.json()];
}

const looks = {
  async calls() {
    const asked = performance.now();
    const { calls, ended } = await get("calls");
    const there = new Set();
    for (const call of calls) {
      const key = keyOf(call);
      there.add(key);
      const begun = performance.now() - 1000 * call.duration;
      const known = state.calls.get(key);
      if (known) {
        Object.assign(known, { frames: call.frames, lost: call.lost, measured: true });
        if (Math.abs(known.begun - begun) > 1500) known.begun = begun; // an event came late
      } else if (!state.heard.slice(0, STEP).some((over) => keyOf(over) === key)) {
        state.calls.set(key, { ...call, begun, measured: true });
      } // else it has ended since the node was asked
    }
    for (const [key, call] of state.calls) {
      if (!there.has(key) && call.begun < asked && !call.data) state.calls.delete(key);
    }
    if (!state.merged) mergeHeard(ended);
    state.merged = true;
    retalk();
  },
  async lastheard() {
    for (const call of (await get("lastheard")).lastheard.reverse()) {
      const name = call.TalkerAlias || call.SourceCall;
      if (name && !state.names.has(call.SourceID)) state.names.set(call.SourceID, name);
    }
    mark("now", "heard");
  },
  async peers() {
    const { peers } = await get("peers");
    for (const peer of peers) learn(peer);
    state.peers = new Map(peers.map((peer) => [peer.id, peer]));
    mark("peers", "now", "heard");
  },
  async links() {
    const [{ links }, { nodes }] = await Promise.all([get("links"), get("nodes")]);
    state.links = new Map(links.map((link) => [link.node, link]));
    const known = new Set(nodes.map((node) => node.node));
    const more = links.filter((link) => !known.has(link.node)).map((link) => ({ node: link.node, state: "linked" }));
    state.nodes = [...nodes, ...more].sort((one, other) => one.node - other.node);
    mark("links", "now", "heard");
  },
  async networks() {
    const [{ bridges }, { uplinks }] = await Promise.all([get("bridges"), get("uplinks")]);
    const all = [...bridges.map((row) => ["bridge", row]), ...uplinks.map((row) => ["uplink", row])];
    state.networks = all.map(([kind, row]) => ({
      ...row, kind, crosses: ["up", "running"].includes(row.state),
      total: Object.values(row.dropped).reduce((sum, each) => sum + each, 0),
    }));
    mark("networks", "now", "heard");
  },
  async overrides() {
    const { overrides, bad } = await get("overrides");
    Object.assign(state, { overrides, bad });
    mark("overrides");
  },
  async health() {
    state.health = await get("health?always=200");
    mark("health");
  },
  async system() {
    const [system, status] = await Promise.all([get("status/system.json"), get("status/status.json")]);
    const again = state.boot && state.boot !== system.boot;
    Object.assign(state, { system: { ...system, seen: performance.now() }, network: system.network, boot: system.boot, draining: status.draining });
    if (again) {
      state.series.clear();
      tell(new Date().toISOString(), "The node has started again", "warn");
    }
    mark("head");
  },
  async session() {
    const { session } = await get("session");
    state.right = session.right;
    state.token = session.token;
    mark("head");
  },
};

const waiting = new Map();

// Look at something in a while; many reasons to do so are one.
function soon(name, delay) {
  if (waiting.has(name)) return;
  waiting.set(name, setTimeout(() => {
    waiting.delete(name);
    look(name);
  }, delay));
}

async function look(...names) {
  await Promise.all(names.map(async (name) => {
    try {
      await looks[name]();
    } catch (error) {
      // The stream says whether the node is gone; here only a lost right counts.
      if (error instanceof Status) askForToken();
      else soon(name, 5000);
    }
  }));
}

// ---- the stream

let stream = null;
let reopening = 0;
let goneSince = "";

function connected() {
  state.last = performance.now();
  setText(element("connection"), "live");
  element("connection").className = "state live";
  element("banner").hidden = true;
  document.body.classList.remove("stale");
  goneSince = "";
}

function disconnected() {
  if (!goneSince) {
    goneSince = hour(Date.now());
    setText(element("banner"), `There is no connection to the node since ${goneSince}; what is shown is from before. It is tried again and again.`);
  }
  element("banner").hidden = false;
  setText(element("connection"), "no connection");
  element("connection").className = "state gone";
  document.body.classList.add("stale");
}

function refresh() {
  state.merged = false;
  return look("session", "system", "calls", "lastheard", "peers", "links", "networks", "overrides", "health");
}

function open() {
  clearTimeout(reopening);
  if (stream) stream.close();
  stream = new EventSource("events");
  state.last = performance.now();
  stream.addEventListener("open", connected);
  stream.addEventListener("error", () => {
    disconnected();
    if (stream.readyState === EventSource.CLOSED) reopening = setTimeout(begin, 3000); // refused
  });
  for (const name of ["hello", "reset"]) stream.addEventListener(name, refresh);
  for (const [name, happened] of Object.entries(happenings)) {
    stream.addEventListener(name, (message) => {
      state.last = performance.now();
      happened(JSON.parse(message.data));
    });
  }
}

async function begin() {
  try {
    await looks.session();
  } catch {
    disconnected();
    reopening = setTimeout(begin, 3000);
    return;
  }
  if (state.right === "nothing") askForToken();
  else open();
}

setInterval(() => {
  mark("head");
  if (state.calls.size) mark("now");
  if (stream && stream.readyState === EventSource.OPEN && performance.now() - state.last > SILENCE) {
    disconnected();
    open();
  }
}, 1000);
setInterval(() => {
  if (state.calls.size && !document.hidden && !goneSince) soon("calls", 0);
}, 2000);
setInterval(() => {
  if (!document.hidden && !goneSince && state.right !== "nothing") look("system", "networks", "overrides", "health");
  if (!document.hidden) mark("peers");
}, 10000);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && !goneSince && state.right !== "nothing") look("system", "calls");
});

// ---- signing in

const dialog = element("token");
let refused = false;

function askForToken() {
  setText(element("connection"), "a token is wanted");
  element("connection").className = "state gone";
  if (stream) stream.close();
  mark("head");
  if (!dialog.open && !refused) dialog.showModal();
}

element("sign").addEventListener("click", async () => {
  if (!state.token) {
    refused = false;
    dialog.showModal();
    return;
  }
  await post("logout", {});
  if (stream) stream.close();
  state.token = null;
  begin();
});
element("later").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", () => {
  refused = true;
  element("secret").value = "";
  setText(element("wrong"), "");
});
dialog.querySelector("form").addEventListener("submit", async (submitted) => {
  submitted.preventDefault();
  try {
    const [status, answer] = await post("login", { token: element("secret").value });
    if (status !== 200) {
      setText(element("wrong"), answer.error || "This token is not good.");
      return;
    }
    dialog.close();
    refused = false;
    begin();
  } catch {
    setText(element("wrong"), "The node does not answer.");
  }
});

element("send").addEventListener("submit", async (submitted) => {
  submitted.preventDefault();
  const form = submitted.target;
  const order = {
    source: Number(form.source.value), destination: Number(form.destination.value),
    private: !form.group.checked, text: form.text.value,
  };
  try {
    const [status, answer] = await post("message", order);
    setText(element("sent"), status === 200 ? "It is on its way." : answer.error);
    if (status === 200) form.text.value = "";
  } catch {
    setText(element("sent"), "The node does not answer.");
  }
});

element("filter").addEventListener("input", () => mark("peers"));
new ResizeObserver(() => mark("links")).observe(element("links"));
mark("head");
begin();
