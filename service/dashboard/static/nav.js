// The row of pages where it is wider than the window: begins at the open page, and says on which side
// there is more.
const row = document.querySelector(".top nav");
const here = row.querySelector("[aria-current]");

function tell() {
  const rest = row.scrollWidth - row.clientWidth - row.scrollLeft;
  row.classList.toggle("before", row.scrollLeft > 4);
  row.classList.toggle("after", rest > 4);
}

if (here) row.scrollLeft = here.offsetLeft + here.offsetWidth / 2 - row.offsetLeft - row.clientWidth / 2;
row.addEventListener("scroll", tell, { passive: true });
new ResizeObserver(tell).observe(row);
tell();
