// Draws the figures of a report from the numbers beside it, and saves them as pictures.
for (const figure of document.querySelectorAll("[data-figure]")) {
  const key = figure.dataset.figure;
  const { data, layout } = JSON.parse(document.getElementById(`data-${key}`).textContent);
  const plot = figure.querySelector(".plot");
  Plotly.newPlot(plot, data, layout, { responsive: true, displaylogo: false, showSendToCloud: false });
  figure.addEventListener("click", (event) => {
    const format = event.target.dataset?.as;
    if (!format) return;
    const { width, height } = plot.getBoundingClientRect();
    const title = document.title.replace(/[^\p{L}\p{N}]+/gu, "-");
    Plotly.downloadImage(plot, { format, width, height, scale: 2, filename: `${title}-${key}` });
  });
}
