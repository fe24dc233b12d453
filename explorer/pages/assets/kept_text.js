// A text box whose words are not lost: this browser keeps them until the server has stored them.
//
// Streamlit's own boxes forget what is typed while the server restarts. This one keeps a draft from
// the first letter on, sends it when the box is left, and forgets it once the server has answered;
// a draft that is found when the page is opened again is put back and sent.

const PATIENCE_MS = 3000;
const UNANSWERED =
  "Not stored yet: the server does not answer. Your words are kept in this browser and stored as " +
  "soon as it does.";
const BOTH = "It was changed elsewhere meanwhile: both are here.";

export function keptText(component) {
  const root = component.parentElement;
  root.skipscopeText ??= new KeptText(root);
  const self = root.skipscopeText;
  const generation = ++self.generation;
  self.take(component);
  return () => {
    setTimeout(() => {
      if (self.generation !== generation) return;
      clearTimeout(self.timer);
      delete root.skipscopeText;
    }, 0);
  };
}

class KeptText {
  generation = 0;
  sent = null; // time of the sending that is not answered yet

  constructor(root) {
    this.label = root.querySelector(".sk-label");
    this.status = root.querySelector(".sk-status");
    this.box = root.querySelector("textarea, input");
    this.box.addEventListener("input", () => this.keep());
    this.box.addEventListener("change", () => this.send());
    this.box.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.send();
    });
  }

  take(component) {
    this.component = component;
    const data = component.data;
    this.label.textContent = data.label;
    this.box.placeholder = data.placeholder;
    this.box.maxLength = data.longest;
    if (this.sent !== null && data.answered === this.sent) {
      this.sent = null;
      clearTimeout(this.timer);
      if (this.draft()?.at <= data.answered) localStorage.removeItem(this.slot);
      this.say(data.refused ?? "Stored.");
      if (data.refused) return; // the words stay, to be mended
      this.base = data.value;
    }
    const other = data.name !== this.name;
    this.name = data.name;
    const draft = this.draft();
    if (!draft) this.show(data.value);
    else if (other) this.putBack(draft, data.value);
    if (other && !draft) this.say("");
  }

  get slot() {
    return `skipscope text ${this.name}`;
  }

  draft() {
    try {
      return JSON.parse(localStorage.getItem(this.slot));
    } catch {
      return null; // nothing of ours, or a browser that keeps nothing
    }
  }

  // Words of before that the server has not answered for.
  putBack(draft, stored) {
    const changed = draft.base !== stored && draft.text.trim() !== stored.trim();
    if (changed && draft.sent) {
      // It arrived, though its box was gone before the answer; since then it was changed elsewhere.
      localStorage.removeItem(this.slot);
      return this.show(stored);
    }
    const both = changed && stored && this.box.rows !== undefined;
    this.show(both ? `${stored}\n${draft.text}` : draft.text);
    this.base = stored;
    this.keep();
    this.send();
    if (both) this.say(BOTH);
  }

  show(value) {
    this.base = value;
    if (this.box.value !== value) this.box.value = value;
  }

  keep() {
    this.say("");
    this.note({ text: this.box.value, base: this.base, at: Date.now(), sent: false });
  }

  note(draft) {
    try {
      localStorage.setItem(this.slot, JSON.stringify(draft));
    } catch {
      // A browser that keeps nothing: the words are in the box, and sent from there.
    }
  }

  send() {
    clearTimeout(this.timer);
    if (this.box.value === this.base) return localStorage.removeItem(this.slot);
    this.sent = Date.now();
    this.note({ text: this.box.value, base: this.base, at: this.sent, sent: true });
    this.tell({ text: this.box.value, at: this.sent });
  }

  // Again and again, until there is an answer: a page that found back to its server does not say so.
  tell(said) {
    this.component.setTriggerValue("said", said);
    this.timer = setTimeout(() => {
      this.say(UNANSWERED);
      this.note({ ...this.draft(), sent: false });
      this.tell(said);
    }, PATIENCE_MS);
  }

  say(words) {
    if (this.status.textContent !== words) this.status.textContent = words;
  }
}
