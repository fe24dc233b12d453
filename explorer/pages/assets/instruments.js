// The Instruments page's figure: it follows its link at the server until everything is measured.
//
// Streamlit mounts it and calls it again when the choices change; between those calls it redraws by
// itself, so zoom, legend, scroll and what is unfolded stay as they are.

const BASE = new URL("./", import.meta.url);
// The very module that the other live parts use: by the address that they load it by.
const parts = new URL(import.meta.url).searchParams.get("parts");
const skipscope = await import(new URL(`skipscope.js?v=${parts}`, BASE));
const { OURS, PLOT_OPTIONS, loadPlotly, room, text, themeOf } = skipscope;

export function instrument(component) {
  const root = component.parentElement;
  root.skipscopeInstrument ??= new Follower(root);
  const self = root.skipscopeInstrument;
  const generation = ++self.generation;
  self.choose(component.data);
  return () => {
    setTimeout(() => {
      if (self.generation !== generation) return;
      self.end();
      delete root.skipscopeInstrument;
    }, 0);
  };
}

class Follower {
  generation = 0;
  query = null;
  version = "";
  failures = 0;
  timer = null;
  turn = 0; // of polls: an answer to an earlier question is not shown

  constructor(root) {
    this.root = root;
    this.box = root.querySelector(".sk-instrument");
    this.plot = this.find("sk-plot");
    this.theme = themeOf(root);
    this.watch = setInterval(() => {
      if (themeOf(root) !== this.theme) this.again(0); // figures are drawn theme by theme
    }, 700);
    this.size = new ResizeObserver(() => {
      if (this.narrow() !== this.wasNarrow) this.again(100);
      this.wasNarrow = this.narrow();
    });
    this.wasNarrow = this.narrow();
    this.size.observe(this.box);
    this.seen = () => document.hidden || this.again(0);
    document.addEventListener("visibilitychange", this.seen);
    this.gone = () => this.leave();
    addEventListener("pagehide", this.gone);
  }

  find(name) {
    return this.box.querySelector("." + name);
  }

  choose(data) {
    this.title = data.title;
    this.key = data.key; // for the files' links
    if (this.viewer !== data.viewer) this.leave();
    this.viewer = data.viewer;
    text(this.box.querySelector(".sk-papers p"), data.papers);
    if (data.query === this.query) return;
    this.query = data.query;
    this.version = "";
    this.eager = 12; // what a click asks is answered soon: polls that do not wait for long
    this.box.setAttribute("aria-busy", "true");
    this.again(0);
  }

  again(delay) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.poll(), delay);
  }

  async poll() {
    const turn = ++this.turn;
    const theme = themeOf(this.root);
    if (theme !== this.theme) this.version = "";
    this.theme = theme;
    const url = new URL("../instrument", BASE);
    url.search = new URLSearchParams([
      ...new URLSearchParams(this.query),
      ["theme", theme],
      ["narrow", this.narrow() ? "1" : "0"],
      ["viewer", this.viewer],
      ["have", this.version],
    ]);
    let wait;
    try {
      const answer = await fetch(url, { cache: "no-store", headers: OURS });
      if (!answer.ok) throw new Error(String(answer.status));
      const news = await answer.json();
      if (turn !== this.turn) return;
      this.failures = 0;
      wait = document.hidden ? Math.max(news.poll_ms, 20000) : news.poll_ms;
      if (this.eager-- > 0) wait = Math.min(wait, 120);
      if (news.lanes) await this.show(news);
      this.version = news.version;
    } catch {
      if (turn !== this.turn) return;
      this.failures += 1;
      wait = Math.min(5000, 500 * 2 ** this.failures);
      if (this.failures >= 2) this.status("The server does not answer; trying again…");
    }
    this.again(wait);
  }

  narrow() {
    return this.box.clientWidth > 0 && this.box.clientWidth < 560;
  }

  status(words) {
    text(this.find("sk-status"), words);
  }

  async show(news) {
    const nothing = news.figure.data.length === 0;
    const empty = this.find("sk-empty");
    empty.hidden = !nothing;
    this.box.classList.toggle("sk-nothing", nothing);
    text(empty, news.empty);
    this.lanes(news.lanes);
    for (const one of hands) one.told(news.lanes);
    paragraphs(this.find("sk-said"), news.captions);
    paragraphs(this.find("sk-formula-lines"), news.formula);
    paragraphs(this.find("sk-conditions"), news.conditions);
    gallery(this.find("sk-pictures"), news.pictures);
    for (const kind of ["csv", "json", "html"]) {
      const file = new URL("../instrument/file", BASE);
      file.search = new URLSearchParams([...new URLSearchParams(this.query), ["as", kind], ["key", this.key]]);
      this.find(`sk-${kind}`).href = file;
    }
    this.find("sk-formula").hidden = news.formula.length === 0;
    this.find("sk-table").hidden = news.tables.every((table) => table.rows.length === 0);
    tables(this.find("sk-tables"), news.tables);
    this.plot.setAttribute("aria-label", [this.title, ...news.captions].join(". "));
    this.find("sk-stage").style.minHeight = `${news.figure.layout.height ?? 380}px`;
    const drawn = JSON.stringify(news.figure);
    if (nothing) {
      // An empty figure's axes would be kept as if a person had chosen them.
      if (this.drawn && window.Plotly) window.Plotly.purge(this.plot);
      this.drawn = null;
    } else if (drawn !== this.drawn) {
      this.drawn = drawn;
      const Plotly = await loadPlotly();
      news.figure.layout.autosize = true;
      this.plot.style.height = `${news.figure.layout.height ?? 380}px`;
      if (!(await room(this.plot))) return; // taken away meanwhile
      await Plotly.react(this.plot, news.figure.data, news.figure.layout, PLOT_OPTIONS);
    }
    this.plot.dataset.version = news.version;
    this.box.setAttribute("aria-busy", String(news.lanes.some((lane) => !lane.done)));
  }

  // One line while something is under way, and one for every net that has nothing to show.
  lanes(lanes) {
    const waiting = lanes.filter((lane) => !lane.done);
    const share = lanes.reduce((sum, lane) => sum + lane.share, 0) / Math.max(1, lanes.length);
    const bar = this.find("sk-bar");
    bar.hidden = waiting.length === 0;
    bar.setAttribute("aria-valuenow", String(Math.round(100 * share)));
    bar.style.setProperty("--done", `${(100 * share).toFixed(1)}%`);
    this.status(waiting.map((lane) => `${lane.name}: ${lane.text || "measuring"}`).join(" · "));
    paragraphs(
      this.find("sk-errors"),
      lanes.filter((lane) => lane.error).map((lane) => `${lane.name}: ${lane.error}`),
    );
    this.downloads(lanes.map((lane) => lane.download).filter(Boolean));
  }

  // Looking fetches nothing: what a measurement lacks is downloaded when a person says so.
  downloads(lacking) {
    const box = this.find("sk-downloads-wanted");
    const now = JSON.stringify(lacking);
    if (box.dataset.now === now) return;
    box.dataset.now = now;
    const byName = new Map(lacking.map((one) => [one.what, one.words]));
    box.replaceChildren(
      ...[...byName].map(([what, words]) => {
        const button = document.createElement("button");
        button.type = "button";
        button.className = "sk-button";
        button.textContent = words;
        button.addEventListener("click", () => this.download(what, button));
        return button;
      }),
    );
  }

  async download(what, button) {
    button.disabled = true;
    const url = new URL("../download", BASE);
    url.search = new URLSearchParams({ what });
    try {
      const answer = await (await fetch(url, { method: "POST", headers: OURS })).json();
      this.status(answer.problem ?? "");
    } catch {
      this.status("The server does not answer; press again in a moment.");
    }
    button.disabled = false;
    this.again(0);
  }

  // What was asked for here need not be measured to its end.
  leave() {
    if (!this.viewer) return;
    const url = new URL("../instrument/left", BASE);
    url.search = new URLSearchParams({ viewer: this.viewer });
    fetch(url, { method: "POST", headers: OURS, keepalive: true }).catch(() => {});
  }

  end() {
    this.leave();
    removeEventListener("pagehide", this.gone);
    this.turn += 1;
    clearTimeout(this.timer);
    clearInterval(this.watch);
    this.size.disconnect();
    document.removeEventListener("visibilitychange", this.seen);
    if (window.Plotly) window.Plotly.purge(this.plot);
  }
}

// Texts are set one by one, so that what has not changed keeps its selection.
function paragraphs(box, lines) {
  while (box.children.length > lines.length) box.lastElementChild.remove();
  lines.forEach((line, i) => {
    const p = box.children[i] ?? box.appendChild(document.createElement("p"));
    text(p, line);
  });
}

function tables(box, all) {
  const now = JSON.stringify(all);
  if (box.dataset.now === now) return;
  box.dataset.now = now;
  box.replaceChildren(...all.filter((table) => table.rows.length).map(tableOf));
}

function tableOf(content) {
  const frame = document.createElement("div");
  frame.className = "sk-table-frame";
  frame.tabIndex = 0; // it scrolls, so the keyboard must reach it
  frame.setAttribute("role", "region");
  frame.setAttribute("aria-label", `Table: ${content.name}`);
  const table = frame.appendChild(document.createElement("table"));
  table.createCaption().textContent = content.left_out
    ? `${content.name} (the first ${content.rows.length} of ${content.rows.length + content.left_out} rows)`
    : content.name;
  const head = table.createTHead().insertRow();
  for (const column of content.columns) {
    const th = head.appendChild(document.createElement("th"));
    th.scope = "col";
    th.textContent = column;
  }
  const body = table.createTBody();
  for (const row of content.rows) {
    const line = body.insertRow();
    for (const value of row) {
      const cell = line.insertCell();
      cell.textContent = value === null ? "–" : String(value);
      if (typeof value === "number") cell.className = "sk-number";
    }
  }
  return frame;
}

function gallery(list, pictures) {
  const now = JSON.stringify(pictures);
  list.hidden = pictures.length === 0;
  if (list.dataset.now === now) return;
  list.dataset.now = now;
  list.replaceChildren(
    ...pictures.map((picture) => {
      const item = document.createElement("li");
      item.style.setProperty("--lane", `var(--sk-lane-${picture.lane})`);
      const img = item.appendChild(document.createElement("img"));
      img.src = `data:image/png;base64,${picture.png}`;
      img.alt = picture.alt;
      item.appendChild(document.createElement("span")).textContent = picture.words;
      return item;
    }),
  );
}

// ---------------------------------------------------------------------------------- by hand

const hands = new Set();

// A block graph in which blocks are deleted (click, Enter) and swapped (drag, or S on both).
export function hand(component) {
  const root = component.parentElement;
  root.skipscopeHand ??= new Hand(root);
  const self = root.skipscopeHand;
  const generation = ++self.generation;
  hands.add(self);
  self.draw(component);
  return () => {
    setTimeout(() => {
      if (self.generation === generation) hands.delete(self);
    }, 0);
  };
}

const FAR = 7; // pixels from which a press is a drag

class Hand {
  generation = 0;

  constructor(root) {
    this.box = root.querySelector(".sk-hand");
    this.graph = this.box.querySelector(".sk-graph");
    this.words = this.box.querySelector(".sk-status");
    this.graph.addEventListener("pointerdown", (event) => this.press(event));
    this.graph.addEventListener("pointermove", (event) => this.move(event));
    this.graph.addEventListener("pointerup", (event) => this.release(event));
    this.graph.addEventListener("pointercancel", () => this.letGo());
    this.graph.addEventListener("keydown", (event) => this.key(event));
  }

  draw(component) {
    this.component = component;
    const data = component.data;
    this.box.style.setProperty("--lane", `var(--sk-lane-${data.lane})`);
    const now = JSON.stringify([data.svg, data.moved]);
    if (this.now === now) return;
    this.now = now;
    const held = this.graph.contains(document.activeElement)
      ? document.activeElement.dataset.unit
      : null;
    this.graph.innerHTML = data.svg;
    for (const [name, number] of Object.entries(data.moved)) this.label(name, number);
    text(this.words, "");
    this.first = null;
    if (held) this.focus(this.unit(held));
  }

  // The net's number, from the figure's answer.
  told(lanes) {
    const mine = lanes.find((lane) => lane.index === this.component.data.lane);
    if (!mine?.headline) return;
    text(this.box.querySelector(".sk-big"), mine.headline[0]);
    text(this.box.querySelector(".sk-label"), mine.headline[1]);
  }

  units() {
    return [...this.graph.querySelectorAll("[data-unit]")];
  }

  unit(name) {
    return this.graph.querySelector(`[data-unit="${CSS.escape(name)}"]`);
  }

  // The number of the block that stands here now, in the box.
  label(name, number) {
    const unit = this.unit(name);
    const box = unit?.querySelector("rect");
    if (!box) return;
    const mark = document.createElementNS("http://www.w3.org/2000/svg", "text");
    const at = (key) => Number(box.getAttribute(key));
    mark.setAttribute("x", at("x") + at("width") / 2);
    mark.setAttribute("y", at("y") + at("height") / 2 + 3);
    mark.setAttribute("text-anchor", "middle");
    mark.setAttribute("class", "sk-moved");
    mark.textContent = number;
    unit.append(mark);
    unit.setAttribute("aria-label", `${unit.getAttribute("aria-label")}; block ${number} stands here`);
  }

  focus(unit) {
    if (!unit) return;
    for (const other of this.units()) other.setAttribute("tabindex", "-1");
    unit.setAttribute("tabindex", "0");
    unit.focus();
  }

  toggle(unit) {
    if (unit.getAttribute("aria-disabled") === "true") {
      return text(this.words, unit.dataset.why ?? "This block cannot be deleted.");
    }
    unit.classList.toggle("deleted"); // at once; the page says it again
    this.component.setTriggerValue("toggle", unit.dataset.unit);
  }

  swap(one, other) {
    const groups = this.component.data.groups;
    const [a, b] = [one.dataset.unit, other.dataset.unit];
    if (a === b) return;
    if (!groups[a] || groups[a] !== groups[b]) {
      return text(this.words, "Only blocks that map the same shape to the same shape change places.");
    }
    this.component.setTriggerValue("swap", `${a} ${b}`);
  }

  press(event) {
    const unit = event.target.closest?.("[data-unit]");
    if (!unit || event.button > 0) return;
    this.held = { unit, x: event.clientX, y: event.clientY, far: false };
  }

  move(event) {
    const held = this.held;
    if (!held) return;
    if (!held.far && Math.hypot(event.clientX - held.x, event.clientY - held.y) > FAR) {
      held.far = true;
      held.unit.classList.add("sk-held");
      this.graph.setPointerCapture(event.pointerId);
    }
    if (!held.far) return;
    const under = this.under(event);
    for (const unit of this.units()) unit.classList.toggle("sk-target", unit === under);
  }

  under(event) {
    return document
      .elementFromPoint(event.clientX, event.clientY)
      ?.closest?.(".sk-hand [data-unit]");
  }

  release(event) {
    const held = this.held;
    const under = this.under(event);
    this.letGo();
    if (!held) return;
    if (!held.far) {
      this.focus(held.unit);
      this.toggle(held.unit);
    } else if (under && this.graph.contains(under)) this.swap(held.unit, under);
  }

  letGo() {
    this.held = null;
    for (const unit of this.units()) unit.classList.remove("sk-held", "sk-target");
  }

  key(event) {
    const unit = event.target.closest?.("[data-unit]");
    if (!unit) return;
    const units = this.units();
    const at = units.indexOf(unit);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: units.length - 1 }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      return this.focus(units[to]);
    }
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      return this.toggle(unit);
    }
    if (event.key.toLowerCase() !== "s" || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    if (!this.first) {
      this.first = unit;
      unit.classList.add("sk-held");
      return text(this.words, "Go to another block and press S to swap the two.");
    }
    const first = this.first;
    this.first = null;
    this.letGo();
    text(this.words, "");
    this.swap(first, unit);
  }
}
