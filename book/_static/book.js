// What scrolls sideways can be reached and named by keyboard and screen reader, and shows while there is more.
const more = part => part.classList.toggle("more", part.scrollLeft + part.clientWidth < part.scrollWidth - 1);
const mark = () => document.querySelectorAll(
  ".bd-content .cell_output .output, .bd-content .pst-scrollable-table-container, .bd-content div.math, .bd-content pre",
).forEach(part => {
  more(part);
  if (part.scrollWidth <= part.clientWidth + 1) return;
  part.onscroll = () => more(part);
  part.tabIndex = 0;
  if (part.matches("pre")) return;
  const figure = part.closest("figure");
  const caption = part.querySelector("caption .caption-text") || (figure && figure.querySelector(".caption-text"));
  part.setAttribute("role", "region");
  part.setAttribute("aria-label", caption ? caption.textContent.trim().slice(0, 80) : "scrolls sideways");
});
addEventListener("load", mark);
addEventListener("resize", mark);

// Paper is white.
const page = document.documentElement;
let theme = page.dataset.theme;
addEventListener("beforeprint", () => {
  theme = page.dataset.theme;
  page.dataset.theme = "light";
});
addEventListener("afterprint", () => {
  page.dataset.theme = theme;
});
