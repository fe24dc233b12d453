// The live half of the page: block graphs, charts and the transport bar follow one feed.
//
// Streamlit mounts each part (see compare/live_parts.py) and calls it again whenever its data changes;
// between those calls the parts redraw from the feed by themselves, so zoom, legend, scroll and
// focus are never lost. The feed is one poller a URL, shared by all parts of the page.

const BASE = new URL("./", import.meta.url);
// What starts work at the server wants a header that pages of other sites cannot set.
export const OURS = { "X-Skipscope": "1" };

// ---------------------------------------------------------------------------------- theme

export function themeOf(element) {
  const probe = getComputedStyle(element).getPropertyValue("--st-background-color").trim();
  const hex = /^#([0-9a-f]{6})/i.exec(probe);
  if (!hex) return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  const value = parseInt(hex[1], 16);
  const luminance = 0.3 * (value >> 16) + 0.59 * ((value >> 8) & 255) + 0.11 * (value & 255);
  return luminance < 128 ? "dark" : "light";
}

// ----------------------------------------------------------------------------------- feed

const feeds = new Map();

class Feed {
  constructor(query) {
    this.query = query;
    this.parts = new Set();
    this.last = null;
    this.failures = 0;
    this.timer = null;
    this.busy = false;
    this.again = false;
  }
  join(part) {
    this.parts.add(part);
    if (this.last && this.theme === part.theme()) part.show(this.last);
    else part.clear?.();
    this.soon(0);
  }
  leave(part) {
    this.parts.delete(part);
    if (this.parts.size === 0) {
      clearTimeout(this.timer);
      this.timer = null;
      feeds.delete(this.query);
    }
  }
  soon(delay) {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = setTimeout(() => this.poll(), delay);
  }
  async poll() {
    this.timer = null;
    if (this.parts.size === 0) return;
    if (this.busy) {
      this.again = true; // somebody wants something that the poll under way did not ask for
      return;
    }
    if (document.hidden) return this.soon(1000);
    this.busy = true;
    const first = this.parts.values().next().value;
    const theme = first.theme();
    const charts = [...new Set([...this.parts].map((p) => p.chart).filter(Boolean))].sort();
    const cut = [...this.parts].map((p) => p.cut).filter(Boolean).join("|");
    const image = [...this.parts].map((p) => p.image).find((i) => i !== undefined);
    const at = [...this.parts].map((p) => p.at).find((step) => step !== undefined);
    const asked = [charts, theme, cut, image, at].join(";");
    const version = this.last && this.asked === asked ? this.last.version : "";
    const url = new URL("../feed", BASE);
    url.search = new URLSearchParams([
      ...new URLSearchParams(this.query),
      ["charts", charts.join(",")],
      ["theme", theme],
      ["have", version],
    ]);
    // Deletions that somebody looks at are measured again as the weights move.
    if (cut) url.searchParams.set("cut", cut);
    if (image !== undefined) url.searchParams.set("image", image);
    if (at !== undefined) url.searchParams.set("at", at); // else the latest
    let wait = 1500;
    try {
      const answer = await fetch(url, { cache: "no-store", headers: OURS });
      if (!answer.ok) throw new Error(String(answer.status));
      const news = await answer.json();
      this.failures = 0;
      wait = news.poll_ms;
      if (news.lanes) {
        this.last = news;
        this.asked = asked;
        this.theme = theme;
        for (const part of this.parts) part.show(news);
      }
    } catch (error) {
      this.failures += 1;
      wait = Math.min(5000, 1000 * 2 ** this.failures);
      if (this.failures >= 2) for (const part of this.parts) part.lost?.();
    }
    this.busy = false;
    const again = this.again;
    this.again = false;
    if (this.parts.size) this.soon(again ? 0 : wait);
  }
}

function feedFor(query) {
  if (!feeds.has(query)) feeds.set(query, new Feed(query));
  return feeds.get(query);
}

// Come back at once when the tab is looked at again.
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) for (const feed of feeds.values()) feed.soon(0);
});

// One object a mounted part. Streamlit calls the default export again on every data change and
// runs the clean-up in between, so a part is only let go if nobody took it up again.
function part(component, make) {
  const root = component.parentElement;
  let self = root.skipscopePart;
  if (!self) {
    self = root.skipscopePart = make(root);
    self.theme = () => themeOf(root);
    self.generation = 0;
    // A change of theme changes every figure.
    self.watch = setInterval(() => {
      const theme = self.theme();
      if (self.seenTheme && self.seenTheme !== theme) self.feed?.soon(0);
      self.seenTheme = theme;
    }, 700);
  }
  const generation = ++self.generation;
  self.component = component;
  self.update?.(component.data);
  const query = component.data.feed;
  if (self.feed?.query !== query) {
    self.feed?.leave(self);
    self.feed = feedFor(query);
    self.feed.join(self);
  }
  return () => {
    setTimeout(() => {
      if (self.generation !== generation) return;
      clearInterval(self.watch);
      self.feed?.leave(self);
      self.end?.();
      delete root.skipscopePart;
    }, 0);
  };
}

export const text = (element, value) => {
  if (element && element.textContent !== value) element.textContent = value;
};

// --------------------------------------------------------------------- choices made at once

// Streamlit's row of buttons tells the server what was chosen; what only changes the look of what is
// here already need not wait for its answer. ``data.choices`` says what each button's words mean:
// {group: {words: value}}, group being the key of the row.
const LOCAL_MS = 2000; // for so long an older answer of the server does not undo a choice

function chosenAtOnce(event) {
  const button = event.target.closest?.("[role=radio]");
  const group = /st-key-([\w-]+)/.exec(button?.closest("[class*=st-key-]")?.className ?? "")?.[1];
  if (!group) return;
  for (const feed of feeds.values()) {
    for (const one of feed.parts) {
      const value = one.component?.data.choices?.[group]?.[button.textContent];
      if (value === undefined) continue;
      one.until = performance.now() + LOCAL_MS;
      one.choose(value);
    }
  }
}
document.addEventListener("click", chosenAtOnce, true); // the row lets no click pass upwards

// Whether the server's value is to be taken: not while it may be of before the last choice.
const current = (one) => performance.now() >= (one.until ?? 0);

// ------------------------------------------------------------------------- the marked block

// A block or layer under the pointer (or with the focus) is marked wherever it is drawn.
// ``name`` is a unit's or one of its layers' (``stages.0.units.3.residual.conv1``).
const marked = {
  parts: new Set(),
  now: null,
  set(lane, name, from) {
    const key = `${lane} ${name}`;
    if (this.now === key) return;
    this.now = key;
    for (const one of this.parts) if (one !== from) one.mark(lane, name);
  },
  clear(from) {
    if (this.now === null) return;
    this.now = null;
    for (const one of this.parts) if (one !== from) one.mark(null, null);
  },
};

const within = (name, unit) => name === unit || name.startsWith(`${unit}.`);

// ---------------------------------------------------------------------------------- chart

let plotly = null;
export function loadPlotly() {
  plotly ??= new Promise((resolve, reject) => {
    if (window.Plotly) return resolve(window.Plotly);
    const script = document.createElement("script");
    script.src = new URL("plotly.min.js", BASE);
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => reject(new Error("plotly.min.js could not be loaded"));
    document.head.appendChild(script);
  });
  return plotly;
}

// Each tick of a training draws every chart again. They take turns, one at a time, so that a click
// is answered in between; and all of them take about a sixteenth of the time: on a slow machine a
// chart is drawn every few seconds, and the page stays at hand.
const SHARE = 1 / 16;
const LONGEST_REST_MS = 1000; // also where a drawing had to wait for the processor
const turns = {
  waiting: new Set(), // whoever has waited longest first
  busy: false,
  async ask(one) {
    this.waiting.add(one);
    if (this.busy) return;
    this.busy = true;
    while (this.waiting.size) {
      const next = this.waiting.values().next().value;
      this.waiting.delete(next);
      const begun = performance.now();
      try {
        await next.draw();
      } catch (error) {
        console.error(error);
      }
      const took = performance.now() - begun;
      const rest = Math.min(LONGEST_REST_MS, took / SHARE - took);
      await new Promise((resolve) => setTimeout(resolve, rest));
    }
    this.busy = false;
  },
};

// Whether an element is on the page and wide enough to draw in: Plotly divides by what its margins
// leave.
const LEAST_WIDTH = 200; // pixels
const hasRoom = (element) => element.isConnected && element.clientWidth >= LEAST_WIDTH;

// Once it has: whether it is still on the page.
export async function room(element) {
  while (element.isConnected && !hasRoom(element)) {
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  return element.isConnected;
}

export const PLOT_OPTIONS = {
  displaylogo: false,
  showSendToCloud: false, // nothing offers to leave this machine
  responsive: true,
  displayModeBar: "hover",
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
};

export function chart(component) {
  return part(component, (root) => {
    const box = root.querySelector(".sk-chart");
    const plot = box.querySelector(".sk-plot");
    const caption = box.querySelector(".sk-caption");
    const title = box.querySelector(".sk-title");
    const empty = box.querySelector(".sk-empty");
    const numbers = box.querySelector(".sk-numbers");
    numbers.addEventListener("toggle", () => self.tell());
    // Charts out of sight cost nothing: they are drawn when they are scrolled near.
    const sight = new IntersectionObserver(
      (entries) => {
        self.seen = entries.at(-1).isIntersecting;
        if (self.seen && self.waiting) self.show(self.waiting, true);
      },
      { rootMargin: "200px" },
    );
    const self = {
      update(data) {
        text(title, data.title);
        if (current(self) || self.chart === undefined) self.choose(data.chart);
      },
      choose(chart) {
        self.chart = chart;
        if (self.feed?.last?.figures && self.chart in self.feed.last.figures) {
          self.show(self.feed.last, true);
        } else self.feed?.soon(0);
      },
      show(news, atOnce = false) {
        if (!news.figures?.[self.chart]) return;
        self.waiting = news;
        const live = self.seen && self.drawn && news.transport?.status === "running";
        if (live && !atOnce) turns.ask(self);
        else self.draw();
      },
      async draw() {
        const news = self.waiting;
        const figure = news?.figures[self.chart];
        if (!figure) return;
        const words = news.captions[self.chart] ?? "";
        text(caption, words);
        plot.setAttribute("aria-label", `${title.textContent}. ${words}`);
        const nothing = figure.data.length === 0;
        empty.hidden = !nothing;
        box.classList.toggle("sk-nothing", nothing);
        text(empty, news.empty?.[self.chart] ?? "");
        if (!self.seen) return; // drawn when it comes into sight: see below
        const drawn = JSON.stringify(figure);
        plot.dataset.version = news.version;
        if (drawn === self.drawn) return;
        self.drawn = drawn;
        const Plotly = await loadPlotly();
        if (!hasRoom(plot)) { // taken away, or not laid out yet: Plotly would divide by its width
          self.drawn = null;
          if (plot.isConnected) setTimeout(() => self.waiting && self.draw(), 200);
          return;
        }
        figure.layout.autosize = true;
        await Plotly.react(plot, figure.data, figure.layout, PLOT_OPTIONS);
        self.listen();
        self.tell();
      },
      // The figure's numbers, for those who would rather read them.
      tell() {
        if (numbers.open && plot._fullData) {
          numbers.querySelector("div").replaceChildren(tableOf(plot, title.textContent));
        }
      },
      listen() {
        if (self.listening) return;
        self.listening = true;
        plot.on("plotly_hover", ({ points }) => {
          const point = points[0];
          if (self.marking || typeof point?.text !== "string") return;
          marked.set(laneOf(point.data), point.text, self);
        });
        plot.on("plotly_unhover", () => {
          if (!self.marking) marked.clear(self);
        });
      },
      mark(lane, name) {
        if (!self.listening || !self.seen) return;
        const points = [];
        (plot._fullData ?? []).forEach((trace, curveNumber) => {
          if (name === null || laneOf(trace) !== lane || !Array.isArray(trace.text)) return;
          const at = trace.text.findIndex((words) => within(words, name) || within(name, words));
          if (at >= 0 && trace.visible === true) points.push({ curveNumber, pointNumber: at });
        });
        self.marking = true;
        if (points.length) window.Plotly.Fx.hover(plot, points);
        else window.Plotly.Fx.unhover(plot);
        self.marking = false;
      },
      // Another net, run or data set: what stood here was of the one before.
      clear() {
        self.waiting = null;
        self.drawn = null;
        box.classList.add("sk-nothing");
        text(caption, "");
        empty.hidden = true;
      },
      end() {
        marked.parts.delete(self);
        turns.waiting.delete(self);
        sight.disconnect();
        if (window.Plotly) window.Plotly.purge(plot);
      },
    };
    sight.observe(plot);
    marked.parts.add(self);
    return self;
  });
}

// Traces of a lane carry its number: ``legendgroup: "lane2"``.
const laneOf = (trace) => Number(/^lane(\d+)$/.exec(trace.legendgroup ?? "")?.[1] ?? NaN);

const MOST_ROWS = 2000;

// One row for each place on the x axis, one column for each curve.
function tableOf(plot, words) {
  const traces = plot._fullData.filter((trace) => trace.hoverinfo !== "skip" && trace.x?.length > 2);
  const rows = new Map();
  traces.forEach((trace, column) => {
    for (let i = 0; i < trace.x.length; i += 1) {
      if (!rows.has(trace.x[i])) rows.set(trace.x[i], { names: new Set(), cells: [] });
      const row = rows.get(trace.x[i]);
      if (Array.isArray(trace.text) && trace.text[i]) row.names.add(trace.text[i]);
      row.cells[column] = number(trace.y[i]) + span(trace, i);
    }
  });
  const named = [...rows.values()].some((row) => row.names.size);
  const table = document.createElement("table");
  table.createCaption().textContent = words;
  const head = table.createTHead().insertRow();
  const axis = plot._fullLayout.xaxis.title?.text || "";
  for (const title of [axis, ...(named ? ["name"] : []), ...traces.map((trace) => trace.name)]) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = title;
    head.append(cell);
  }
  const body = table.createTBody();
  const order = [...rows.entries()];
  if (order.every(([x]) => typeof x === "number")) order.sort(([a], [b]) => a - b);
  for (const [x, { names, cells }] of order.slice(0, MOST_ROWS)) {
    const row = body.insertRow();
    for (const value of [x, ...(named ? [[...names].join(" · ")] : [])]) row.insertCell().textContent = value;
    for (let i = 0; i < traces.length; i += 1) row.insertCell().textContent = cells[i] ?? "";
  }
  return table;
}

const number = (value) =>
  Number.isFinite(value) ? String(Number(Number(value).toPrecision(4))) : "";

// The interval of a value that has one: " (93.1 – 97.2)".
function span(trace, i) {
  const bars = trace.error_y;
  if (!bars?.array?.length || !Number.isFinite(trace.y[i])) return "";
  const low = number(trace.y[i] - (bars.arrayminus ?? bars.array)[i]);
  return ` (${low} – ${number(trace.y[i] + bars.array[i])})`;
}

// ----------------------------------------------------------------------------------- lane

export function lane(component) {
  return part(component, (root) => {
    const box = root.querySelector(".sk-lane");
    const find = (name) => box.querySelector("." + name);
    const graph = find("sk-graph");
    const self = {
      chart: null,
      update(data) {
        box.style.setProperty("--lane", `var(--sk-lane-${data.lane})`);
        if (current(self) || self.colour === undefined) self.colour = data.colour;
        const cut = data.cut.length ? `${data.lane}:${data.cut.join(".")}` : "";
        if (cut !== self.cut) self.feed?.soon(0);
        self.cut = cut;
        if (self.svg !== data.svg) {
          self.svg = data.svg;
          const held = graph.contains(document.activeElement)
            ? document.activeElement.dataset.unit
            : null;
          graph.innerHTML = data.svg;
          for (const unit of graph.querySelectorAll("[data-unit]")) {
            unit.addEventListener("click", () => self.press(unit));
            const here = () => marked.set(self.component.data.lane, unit.dataset.unit, self);
            unit.addEventListener("pointerenter", here);
            unit.addEventListener("focus", here);
            unit.addEventListener("pointerleave", () => marked.clear(self));
            unit.addEventListener("blur", () => marked.clear(self));
          }
          if (held) focusUnit(graph, held);
        }
        text(find("sk-counts"), data.counts);
        if (data.first && !self.feed?.last) {
          text(find("sk-big"), data.first.headline);
          text(find("sk-label"), data.first.label);
        }
        self.program(data.program);
        self.paint();
      },
      mark(lane, name) {
        for (const unit of graph.querySelectorAll("[data-unit]")) {
          const mine = lane === self.component.data.lane && within(name ?? "", unit.dataset.unit);
          unit.classList.toggle("marked", mine);
        }
      },
      end() {
        marked.parts.delete(self);
      },
      choose(colour) {
        self.colour = colour;
        self.paint();
      },
      press(unit) {
        if (unit.getAttribute("aria-disabled") === "true") {
          find("sk-program").hidden = false;
          text(find("sk-answer"), unit.dataset.why ?? "This block cannot be deleted.");
          return;
        }
        roving(graph, unit);
        const name = unit.dataset.unit;
        unit.classList.toggle("deleted");
        find("sk-program").hidden = false;
        text(find("sk-answer"), "Measuring…");
        self.component.setTriggerValue("toggle", name);
      },
      // What the person's own deletions did: {text, detail} or a job to ask for.
      program(program) {
        const row = find("sk-program");
        row.hidden = !program;
        if (!program) {
          self.job = self.asked = null;
          return;
        }
        if (program.text) {
          self.job = null;
          if (self.asked === program.job) return; // the feed may know better by now
          self.asked = program.job;
          return self.answer(program.text);
        }
        if (self.asked === program.job) return; // asked before, and perhaps answered
        self.asked = self.job = program.job;
        text(find("sk-answer"), "Measuring…");
        self.ask(program.job);
      },
      answer(words) {
        text(find("sk-answer"), words);
      },
      async ask(job) {
        for (let i = 0; i < 600 && self.job === job; i += 1) {
          await new Promise((resolve) => setTimeout(resolve, i < 10 ? 100 : 500));
          const url = new URL("../job", BASE);
          url.searchParams.set("id", job);
          try {
            const answer = await (await fetch(url, { cache: "no-store", headers: OURS })).json();
            if (self.job !== job) return;
            if (answer.text) {
              self.job = null; // from here on the feed tells newer ones
              return self.answer(answer.text);
            }
          } catch {
            // The next turn asks again; a server that stays away is said by the transport bar.
          }
        }
      },
      show(news) {
        const mine = news.lanes[self.component.data.lane];
        if (!mine) return;
        text(find("sk-big"), mine.headline);
        text(find("sk-label"), mine.label);
        const note = find("sk-note");
        note.hidden = !mine.note;
        text(note, mine.note ?? "");
        self.quantities = mine.quantities;
        const key = self.component.data.program?.key;
        const fresh = mine.programs.find((program) => program.key === key);
        if (fresh && !self.job) self.answer(fresh.text);
        self.paint();
      },
      paint() {
        box.dataset.colour = self.colour;
        const chosen = self.quantities?.[self.colour];
        for (const unit of graph.querySelectorAll("[data-unit]")) {
          const value = chosen?.values[unit.dataset.unit];
          const shape = unit.querySelector("rect");
          shape?.style.setProperty("--sk-fill", value === undefined ? "0.12" : String(value));
          const title = unit.querySelector("title");
          if (title) {
            title.dataset.own ??= title.textContent;
            const words = chosen?.labels[unit.dataset.unit];
            const whole = words ? `${title.dataset.own}\n${words}` : title.dataset.own;
            text(title, whole);
          }
        }
        text(find("sk-colour"), chosen ? `colour: ${chosen.title}` : "");
      },
    };
    graph.addEventListener("keydown", (event) => {
      const unit = event.target.closest?.("[data-unit]");
      if (!unit) return;
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        return self.press(unit);
      }
      const units = [...graph.querySelectorAll("[data-unit]")];
      const at = units.indexOf(unit);
      const to = {
        ArrowRight: at + 1,
        ArrowLeft: at - 1,
        Home: 0,
        End: units.length - 1,
        ArrowDown: neighbour(units, at, 1),
        ArrowUp: neighbour(units, at, -1),
      }[event.key];
      if (to === undefined || !units[to]) return;
      event.preventDefault();
      roving(graph, units[to]);
      units[to].focus();
    });
    find("sk-restore").addEventListener("click", () => {
      for (const unit of graph.querySelectorAll(".deleted")) unit.classList.remove("deleted");
      find("sk-program").hidden = true;
      self.component.setTriggerValue("restore", true);
    });
    marked.parts.add(self);
    return self;
  });
}

function roving(graph, unit) {
  for (const other of graph.querySelectorAll("[data-unit]")) other.setAttribute("tabindex", "-1");
  unit.setAttribute("tabindex", "0");
}

function focusUnit(graph, name) {
  const unit = graph.querySelector(`[data-unit="${CSS.escape(name)}"]`);
  if (!unit) return;
  roving(graph, unit);
  unit.focus();
}

// The unit nearest in the next row up or down.
function neighbour(units, at, direction) {
  const centre = (unit) => {
    const box = unit.getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2];
  };
  const [x, y] = centre(units[at]);
  let best;
  let least = Infinity;
  units.forEach((unit, i) => {
    const [ux, uy] = centre(unit);
    const down = (uy - y) * direction;
    if (down < 4) return;
    const distance = down * 10 + Math.abs(ux - x);
    if (distance < least) [best, least] = [i, distance];
  });
  return best;
}

// -------------------------------------------------------------------------------- picture

export function picture(component) {
  return part(component, (root) => {
    const box = root.querySelector(".sk-image");
    const img = box.querySelector("img");
    const words = box.querySelector(".sk-caption");
    const self = {
      chart: null,
      update(data) {
        if (self.image !== undefined && self.image !== data.image) self.feed?.soon(0);
        self.image = data.image;
      },
      show(news) {
        const seen = news.image ?? { picture: "", true_class: null, problem: null };
        if (!seen.picture) self.clear();
        if (seen.picture) {
          const source = `data:image/png;base64,${seen.picture}`;
          if (img.src !== source) img.src = source;
          img.hidden = false;
        }
        const name = seen.true_class === null ? "" : `True class: ${seen.true_class}`;
        img.alt = name || "The image";
        text(words, seen.problem ?? name);
      },
      clear() {
        img.hidden = true;
        img.removeAttribute("src");
        text(words, "");
      },
    };
    return self;
  });
}

// ------------------------------------------------------------------------------ transport

// A click of the bar is sent again until the page says that it was heard: while a server is being
// started again, or the page is drawn anew, Streamlit drops it without a word.
const SEND_AGAIN_MS = 1500;
const HEARD_WITHIN_MS = 20000;
let unheard = null;

export function transport(component) {
  return part(component, (root) => {
    const box = root.querySelector(".sk-transport");
    const find = (name) => box.querySelector("." + name);
    const buttons = { play: find("sk-play"), step: find("sk-step"), slow: find("sk-slow"), stop: find("sk-stop") };
    const rate = find("sk-rate");
    const past = find("sk-past");
    const slider = find("sk-at");
    const phases = find("sk-phases");
    const send = (action) => {
      const value = `${action}:${Date.now()}`;
      // A cover has no word of what was heard: it keeps its clicks by itself.
      if (self.acted !== undefined) unheard = { value, until: performance.now() + HEARD_WITHIN_MS };
      self.component.setTriggerValue("action", value);
    };
    const again = setInterval(() => {
      if (!unheard || self.acted === undefined) return;
      if (performance.now() > unheard.until) unheard = null;
      else self.component.setTriggerValue("action", unheard.value);
    }, SEND_AGAIN_MS);
    const self = {
      chart: null,
      end() {
        clearInterval(again);
      },
      update(data) {
        self.acted = data.acted;
        if (unheard?.value === data.acted) unheard = null;
        const [common, differs = ""] = data.conditions;
        text(find("sk-conditions"), common);
        text(find("sk-differs"), differs);
        find("sk-differs").hidden = !differs;
        self.shape = data.shape;
        const at = data.at ?? undefined;
        if (document.activeElement !== slider && self.at !== at) {
          self.at = at;
          self.feed?.soon(40); // a run at rest is asked seldom
        }
        self.past();
      },
      // The slider of time goes from the start to the run's present step.
      past() {
        const last = self.state?.step ?? 0;
        past.hidden = last === 0;
        if (Number(slider.max) !== last) slider.max = last;
        const at = Math.min(self.at ?? last, last);
        if (Number(slider.value) !== at) slider.value = at;
        const words = self.at === undefined ? `${last.toLocaleString("en")}, the latest` : at.toLocaleString("en");
        text(past.querySelector("output"), words);
        slider.setAttribute("aria-valuetext", `step ${words}`);
        find("sk-now").hidden = self.at === undefined;
      },
      show(news) {
        const state = news.transport;
        self.state = state;
        box.dataset.status = state.status;
        text(find("sk-status"), state.text);
        const why = find("sk-why");
        why.hidden = !state.reason;
        text(why, state.reason ?? "");
        const bar = find("sk-bar");
        bar.setAttribute("aria-valuenow", String(Math.round(100 * state.fraction)));
        bar.style.setProperty("--done", `${(100 * state.fraction).toFixed(2)}%`);
        text(buttons.play, state.play);
        for (const [name, button] of Object.entries(buttons)) {
          button.disabled = !state.can[name];
        }
        buttons.slow.setAttribute("aria-pressed", String(state.slow));
        const phase = state.phase;
        phases.hidden = !phase;
        if (phase) {
          for (const part of phases.querySelectorAll("li")) {
            if (part.textContent === phase.name) part.setAttribute("aria-current", "step");
            else part.removeAttribute("aria-current");
          }
          text(phases.querySelector("span"), phase.text);
        }
        // The run has other nets than the page was drawn with, or is over: draw it anew, once.
        if (state.shape && state.shape !== self.shape && state.shape !== self.asked) {
          self.asked = state.shape;
          self.component.setTriggerValue("action", `redraw:${Date.now()}`);
        }
        if (document.activeElement !== rate) rate.value = state.learning_rate;
        rate.disabled = !state.can.learning_rate;
        self.past();
      },
      lost() {
        text(find("sk-status"), "The server does not answer; trying again…");
      },
    };
    for (const [name, button] of Object.entries(buttons)) {
      button.addEventListener("click", () => {
        const action = name === "play" && self.state?.status === "running" ? "pause" : name;
        send(action);
        self.feed?.soon(60);
      });
    }
    const lookAt = (step) => {
      self.at = step;
      self.past();
      self.feed?.soon(40);
    };
    slider.addEventListener("input", () => lookAt(Number(slider.value)));
    slider.addEventListener("change", () => self.component.setTriggerValue("at", slider.value));
    find("sk-now").addEventListener("click", () => {
      lookAt(undefined);
      self.component.setTriggerValue("at", "latest");
    });
    rate.addEventListener("change", () => {
      if (rate.value !== "" && rate.checkValidity()) {
        send(`learning_rate=${rate.value}`);
      } else {
        rate.reportValidity(); // what is allowed; the next look brings the present rate back
      }
    });
    return self;
  });
}
