"use strict";
(() => {
  const { sheet, key } = document.body.dataset;
  const store = `rating ${sheet}`;
  const rater = document.getElementById("rater");
  const radios = [...document.querySelectorAll("input[type=radio]")];
  const groups = [...new Set(radios.map((radio) => radio.name))];
  const questions = [...new Set(radios.map((radio) => radio.dataset.question))];
  const chosen = () => new Map(radios.filter((radio) => radio.checked).map((radio) => [radio.name, radio.value]));

  const showProgress = () => {
    document.getElementById("progress").textContent = `${chosen().size} of ${groups.length} answered`;
  };

  // A browser may keep nothing for pages from disk: then the answers live as long as the page.
  const keep = () => {
    showProgress();
    try {
      localStorage.setItem(store, JSON.stringify({ rater: rater.value, answers: [...chosen()] }));
    } catch {}
  };
  try {
    const kept = JSON.parse(localStorage.getItem(store) ?? "null");
    if (kept) {
      const answers = new Map(kept.answers);
      rater.value = kept.rater;
      for (const radio of radios) radio.checked = answers.get(radio.name) === radio.value;
    }
  } catch {}

  const quoted = (text) => `"${text.replaceAll('"', '""')}"`;
  const csv = () => {
    const answers = chosen();
    const units = [...document.querySelectorAll(".unit")].map((unit) => unit.dataset.unit);
    const lines = units.map((unit) =>
      [sheet, key, rater.value.trim(), unit, ...questions.map((question) => answers.get(`${unit} ${question}`) ?? "")],
    );
    return [["sheet", "key", "rater", "unit", ...questions], ...lines].map((line) => line.map(quoted).join(",")).join("\n") + "\n";
  };

  document.getElementById("answers").addEventListener("change", keep);
  document.getElementById("answers").addEventListener("submit", (event) => event.preventDefault());
  rater.addEventListener("input", keep);
  document.getElementById("next").addEventListener("click", () => {
    const answers = chosen();
    const open = radios.find((radio) => !answers.has(radio.name));
    if (!open) return;
    open.focus();
    open.closest(".unit").scrollIntoView({ block: "start" });
  });
  document.getElementById("save").addEventListener("click", () => {
    if (!rater.reportValidity()) return;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
    link.download = `ratings-${sheet}-${rater.value.trim().replace(/[^\w-]+/g, "_")}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });
  // What was said last matters most, and stands at the end of what may have to be scrolled.
  for (const prompt of document.querySelectorAll(".prompt")) prompt.scrollTop = prompt.scrollHeight;
  showProgress();
})();
