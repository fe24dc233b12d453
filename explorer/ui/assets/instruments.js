// The Instruments page's figure: it follows its link at the server until everything is measured.
//
// Streamlit mounts it and calls it again when the choices change; between those calls it redraws by
// itself, so zoom, legend, scroll and what is unfolded stay as they are.

const BASE = new URL("./", import.meta.url);
// The very module that the other live parts use: by the address that they load it by.
const parts = new URL(import.meta.url).searchParams.get("parts");
const { loadPlotly, text, themeOf } = await import(new URL(`skipscope.js?v=${parts}`, BASE));

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
  }

  find(name) {
    return this.box.querySelector("." + name);
  }

  choose(data) {
    this.title = data.title;
    text(this.box.querySelector(".sk-papers p"), data.papers);
    if (data.query === this.query) return;
    this.query = data.query;
    this.version = "";
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
      ["have", this.version],
    ]);
    let wait;
    try {
      const answer = await fetch(url, { cache: "no-store" });
      if (!answer.ok) throw new Error(String(answer.status));
      const news = await answer.json();
      if (turn !== this.turn) return;
      this.failures = 0;
      wait = document.hidden ? Math.max(news.poll_ms, 20000) : news.poll_ms;
      if (news.lanes) await this.show(news);
      this.version = news.version;
    } catch {
      if (turn !== this.turn) return;
      this.failures += 1;
      wait = Math.min(15000, 500 * 2 ** this.failures);
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
    paragraphs(this.find("sk-said"), news.captions);
    paragraphs(this.find("sk-formula-lines"), news.formula);
    paragraphs(this.find("sk-conditions"), news.conditions);
    this.find("sk-formula").hidden = news.formula.length === 0;
    this.find("sk-table").hidden = news.tables.every((table) => table.rows.length === 0);
    tables(this.find("sk-tables"), news.tables);
    this.plot.setAttribute("aria-label", [this.title, ...news.captions].join(". "));
    const drawn = JSON.stringify(news.figure);
    if (drawn !== this.drawn) {
      this.drawn = drawn;
      const Plotly = await loadPlotly();
      news.figure.layout.autosize = true;
      this.plot.style.height = `${news.figure.layout.height ?? 380}px`;
      await Plotly.react(this.plot, news.figure.data, news.figure.layout, {
        displaylogo: false,
        responsive: true,
        displayModeBar: "hover",
        modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
      });
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
  }

  end() {
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
