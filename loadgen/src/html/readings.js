// Shows the values under the pointer in the legend of a figure. Everything it shows is written in the page already, and
// the page is whole without it.
for (const figure of document.querySelectorAll("figure[data-readings]")) {
  const { at, x, lines } = JSON.parse(figure.dataset.readings);
  const values = figure.querySelectorAll(".legend b");
  const where = figure.querySelector(".where");
  const show = (index) => {
    where.textContent = index === null ? "" : x[index];
    values.forEach((value, line) => (value.textContent = index === null ? "" : lines[line][index] || "–"));
  };
  for (const svg of figure.querySelectorAll("svg[data-left]")) {
    const hair = svg.querySelector(".hair");
    const [left, right] = [Number(svg.dataset.left), Number(svg.dataset.right)];
    // The browser's own tooltip of the whole drawing would cover what is pointed at.
    const title = svg.querySelector("title");
    if (title.parentNode === svg) {
      svg.setAttribute("aria-label", title.textContent);
      svg.removeAttribute("aria-labelledby");
      title.remove();
    }
    svg.addEventListener("pointermove", (event) => {
      const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
      const wanted = (point.x - left) / (right - left);
      const near = (a, b) => (Math.abs(at[b] - wanted) >= Math.abs(at[a] - wanted) ? a : b);
      const index = at.map((_, i) => i).reduce(near);
      const place = left + at[index] * (right - left);
      hair.setAttribute("x1", place);
      hair.setAttribute("x2", place);
      hair.classList.add("on");
      show(index);
    });
    svg.addEventListener("pointerleave", () => {
      hair.classList.remove("on");
      show(null);
    });
  }
}
