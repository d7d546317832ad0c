// Tables sort by a click on a heading or Enter on it: upwards, downwards, then as they were.
page.startTables = () => {
  for (const table of document.querySelectorAll("table.sortable")) page.sortable(table);
};
page.sortable = (table) => {
  const headings = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const original = [...body.rows];
  if (original.length < 2) return;
  headings.forEach((heading, place) => {
    const button = page.element("button", { type: "button" }, ...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const next = { ascending: "descending", descending: null }[heading.getAttribute("aria-sort")];
      const order = next === undefined ? "ascending" : next;
      for (const other of headings) other.removeAttribute("aria-sort");
      if (order) heading.setAttribute("aria-sort", order);
      body.append(...(order ? page.sorted(original, place, order === "descending") : original));
      page.announce(order ? `Sorted by ${button.textContent}, ${order}` : "In the original order");
    });
  });
};
// Numbers by value, else text; what has no value stands last either way.
page.sorted = (rows, place, descending) => {
  const numeric = rows.some((row) => row.cells[place].dataset.key !== undefined);
  const key = (row) => {
    const cell = row.cells[place];
    if (numeric) return cell.dataset.key === undefined ? null : Number(cell.dataset.key);
    const text = cell.textContent.trim();
    return text === "–" || text === "" ? null : text;
  };
  const compare = numeric ? (a, b) => a - b : (a, b) => a.localeCompare(b, "en", { numeric: true });
  const known = rows.filter((row) => key(row) !== null);
  const unknown = rows.filter((row) => key(row) === null);
  known.sort((a, b) => (descending ? -1 : 1) * compare(key(a), key(b)));
  return [...known, ...unknown];
};
