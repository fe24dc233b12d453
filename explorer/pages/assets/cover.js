// Draws the first screen with the page's own parts before Streamlit is there, and steps aside.
//
// What a person clicks meanwhile is kept and clicked again on the page itself.

const PATIENCE_MS = 30000;

export function drawCover({ lane, transport }) {
  const cover = document.getElementById("sk-cover");
  if (!cover) return;
  const data = JSON.parse(cover.querySelector("script").textContent);
  const page = document.getElementById("root");
  for (const [i, graph] of [...cover.querySelectorAll(".sk-graph")].entries()) {
    data.lanes[i].svg = graph.innerHTML;
  }
  const clicks = [];
  const mount = (part, element, given, again) =>
    part({
      parentElement: element,
      data: given,
      setTriggerValue: (name, value) => clicks.push(() => again(name, value)),
    });

  const ends = [
    data.transport && mount(transport, cover.querySelector(".transport"), data.transport, (name, value) => {
      if (name === "at") return; // an old step can be looked at again; nothing was changed
      const [, word, rate] = /^(\w+)(?:=([^:]*))?:/.exec(value);
      const bar = page.querySelector(".sk-transport");
      if (rate === undefined) return bar.querySelector(`.sk-${word}`)?.click();
      const input = bar.querySelector(".sk-rate");
      input.value = rate;
      input.dispatchEvent(new Event("change"));
    }),
    ...[...cover.querySelectorAll(".part")].map((element, i) =>
      mount(lane, element, data.lanes[i], (name, value) => {
        const box = page.querySelectorAll(".sk-lane")[i];
        if (name === "restore") return box.querySelector(".sk-restore").click();
        const unit = box.querySelector(`[data-unit="${CSS.escape(value)}"]`);
        unit?.dispatchEvent(new MouseEvent("click", { bubbles: true }));
      }),
    ),
  ];

  const stands = () => {
    const lanes = [...page.querySelectorAll(".sk-lane")];
    return (
      lanes.length === data.lanes.length &&
      lanes.every((box) => box.querySelector("[data-unit]")) &&
      (!data.transport || page.querySelector(".sk-transport .sk-status")?.textContent) &&
      // Streamlit keeps a grey place, of another size, for an element whose script still loads.
      !page.querySelector('[data-testid="stSkeleton"]')
    );
  };
  // Anything that the page has to say instead must not be hidden.
  const speaks = () => page.querySelector('[role="dialog"], [data-testid="stAlert"]');
  const begun = performance.now();
  const watch = setInterval(() => {
    if (!stands() && !speaks() && performance.now() - begun < PATIENCE_MS) return;
    clearInterval(watch);
    const main = page.querySelector('[data-testid="stMain"]');
    if (main) main.scrollTop = cover.scrollTop;
    for (const end of ends) end?.();
    cover.remove();
    // One after the other: the page takes a moment for each.
    clicks.forEach((click, i) => setTimeout(click, 50 + 250 * i));
  }, 40);
}
