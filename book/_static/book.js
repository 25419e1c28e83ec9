// What scrolls sideways can be reached and named by keyboard and screen reader, and shows that it goes on.
const mark = () => document.querySelectorAll(
  ".bd-content .cell_output .output, .bd-content .pst-scrollable-table-container, .bd-content div.math, .bd-content pre",
).forEach(part => {
  const scrolls = part.scrollWidth > part.clientWidth + 1;
  part.classList.toggle("scrolls", scrolls);
  if (!scrolls) return;
  part.tabIndex = 0;
  if (part.matches("pre")) return;
  const figure = part.closest("figure");
  const caption = part.querySelector("caption .caption-text") || (figure && figure.querySelector(".caption-text"));
  part.setAttribute("role", "region");
  part.setAttribute("aria-label", caption ? caption.textContent.trim().slice(0, 80) : "scrolls sideways");
});
addEventListener("load", mark);
addEventListener("resize", mark);
