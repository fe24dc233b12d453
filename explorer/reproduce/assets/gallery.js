// Draws each figure when it comes into sight, for the theme and the width of the moment.
const dark = matchMedia("(prefers-color-scheme: dark)");
const narrow = matchMedia("(max-width: 640px)");
const drawn = new Set();

function draw(plot) {
  const kept = JSON.parse(document.getElementById(`data-${plot.dataset.figure}`).textContent);
  const { data, layout } = kept[(dark.matches ? "dark" : "light") + (narrow.matches ? "_narrow" : "")];
  plot.style.height = `${layout.height ?? 320}px`;
  Plotly.react(plot, data, layout, { responsive: true, displaylogo: false, showSendToCloud: false });
  drawn.add(plot);
}

const sight = new IntersectionObserver(
  (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => {
    sight.unobserve(entry.target);
    draw(entry.target);
  }),
  { rootMargin: "400px" },
);
document.querySelectorAll("[data-figure]").forEach((plot) => sight.observe(plot));
for (const query of [dark, narrow]) query.addEventListener("change", () => drawn.forEach(draw));
addEventListener("beforeprint", () => document.querySelectorAll("[data-figure]").forEach(draw));
