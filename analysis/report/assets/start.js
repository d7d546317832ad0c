// A link to a run opens it.
page.openTarget = () => {
  const target = page.byId(decodeURIComponent(location.hash.slice(1)));
  if (target && target.tagName === "DETAILS") { target.open = true; target.scrollIntoView(); }
};
page.startTables();
page.startCurves();
page.startQuality();
page.startTranscripts();
addEventListener("hashchange", page.openTarget);
page.openTarget();
