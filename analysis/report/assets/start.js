// A link to a run opens it.
page.openTarget = () => {
  const target = page.byId(decodeURIComponent(location.hash.slice(1)));
  if (target && target.tagName === "DETAILS") { target.open = true; target.scrollIntoView(); }
};
// What is folded for want of room is printed.
page.unfold = () => {
  const folded = [...document.querySelectorAll("details.notes:not([open])")];
  for (const part of folded) part.open = true;
  addEventListener("afterprint", () => { for (const part of folded) part.open = false; }, { once: true });
};
addEventListener("beforeprint", page.unfold);
page.startTables();
page.startCurves();
page.startQuality();
page.startTranscripts();
addEventListener("hashchange", page.openTarget);
page.openTarget();
