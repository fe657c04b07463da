"use strict";
// What comes from outside enters the document as text or as an attribute, never as markup.
(() => {
  const KEPT = 40; // pages of data in memory
  const byId = (id) => document.getElementById(id);
  const index = [], pages = new Map(), cards = new Map(); // pages: promises of rows
  const grid = byId("grid");
  let meta = null, arrived = null, shown = [], current = -1, columns = 1, wide = 0, high = 0;
  const sheet = new CSSStyleSheet();

  window.datagymLook = (kind, number, data) => {
    arrived = data;
    if (kind === "meta") { meta = data; }
    if (kind === "index") { for (const row of data) { index.push(row); } }
  };
  const load = (file) => new Promise((done, failed) => {
    const script = document.createElement("script");
    const end = (found) => { // null of a damaged file: its script does not run
      script.remove(); arrived = null;
      if (found) { done(found); } else { failed(new Error(`${file}.js cannot be read`)); }
    };
    script.src = `data/${file}.js`;
    script.onload = () => end(arrived); // which runs right after its script
    script.onerror = () => end(null);
    document.head.append(script);
  });
  const row = async (at) => { // all that is known of an image
    const number = Math.floor(at / meta.page);
    const found = pages.get(number) || load(`page-${number}`).catch((error) => { pages.delete(number); throw error; });
    pages.delete(number); pages.set(number, found); // the page used last goes last
    if (pages.size > KEPT) { pages.delete(pages.keys().next().value); }
    return (await found)[at % meta.page];
  };
  const filled = (element, options, inner) => {
    for (const [name, value] of Object.entries(options)) { element.setAttribute(name, value); }
    element.append(...inner);
    return element;
  };
  const make = (tag, options = {}, ...inner) => filled(document.createElement(tag), options, inner);
  const inSvg = (tag, options) => filled(document.createElementNS("http://www.w3.org/2000/svg", tag), options, []);
  const counted = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;

  // --- Pictures: an image with its labels over it, in its own pixels

  const marksOf = (image, marks) => {
    const svg = inSvg("svg", { class: "marks", viewBox: `0 0 ${image.w || 1} ${image.h || 1}`, "aria-hidden": "true" });
    marks.forEach((mark, at) => {
      const alone = mark.length > 5 && mark[5] < 0;
      svg.append(inSvg("path", { d: mark[2], class: `c${mark[0]} ${mark[1]}${alone ? " alone" : ""}`, "data-at": at }));
    });
    return svg;
  };
  const frameOf = (image, marks, address) => {
    const frame = make("span", { class: "frame" });
    if (image.t) {
      const shown = make("img", { src: address || image.t, alt: "", decoding: "async" });
      // The image itself may not be where it was: then the thumbnail, larger.
      if (address) { shown.addEventListener("error", () => { shown.src = image.t; }, { once: true }); }
      frame.append(shown);
    } else { frame.append(make("span", { class: "broken" }, image.x || "no image")); }
    frame.append(marksOf(image, marks));
    return frame;
  };

  // --- The grid: only the cards that are seen are there

  const measure = () => {
    const full = grid.clientWidth, gap = 10, least = full < 600 ? 150 : 230;
    columns = Math.max(1, Math.floor((full + gap) / (least + gap)));
    wide = (full - gap * (columns - 1)) / columns;
    high = Math.round(wide * 0.75) + 46;
    grid.style.height = `${Math.ceil(shown.length / columns) * (high + gap)}px`;
    return gap;
  };
  const place = () => {
    if (!meta || grid.hidden) { return; }
    const gap = measure(), top = -grid.getBoundingClientRect().top, step = high + gap;
    const first = Math.max(0, Math.floor((top - 300) / step)) * columns;
    const last = Math.min(shown.length, Math.ceil((top + innerHeight + 300) / step) * columns);
    const seen = new Set();
    for (let at = first; at < last; at += 1) {
      const number = shown[at];
      seen.add(number);
      if (!cards.has(number)) { cards.set(number, cardOf(number)); grid.append(cards.get(number)); }
      const card = cards.get(number), style = card.style;
      style.left = `${(at % columns) * (wide + gap)}px`; style.top = `${Math.floor(at / columns) * step}px`;
      style.width = `${wide}px`; style.height = `${high}px`;
      card.setAttribute("aria-posinset", at + 1); card.setAttribute("aria-setsize", shown.length);
    }
    for (const [number, card] of cards) {
      if (!seen.has(number) && !card.contains(document.activeElement)) { card.remove(); cards.delete(number); }
    }
  };
  const cardOf = (number) => {
    const [name, state, , objects, , , apart] = index[number];
    const facts = [counted(objects, "object"), meta.compared && `differs by ${apart.toFixed(1)}`, meta.states[state].toLowerCase()];
    const link = make("a", { href: `#image=${number}`, "data-image": number }, make("span", { class: "frame" }),
      make("span", { class: "words" }, make("span", {}, name), make("span", { class: "dim" }, facts.filter(Boolean).join(", "))));
    const item = make("div", { class: "card", role: "listitem" }, link);
    row(number).then((image) => link.firstChild.replaceWith(frameOf(image, image.m))).catch((error) => say(error.message));
    return item;
  };
  const say = (text) => { byId("said").textContent = text; };

  // --- Filters and orders, over the short rows of all images

  const value = (id) => byId(id).value;
  const number = (id, otherwise) => (value(id) === "" ? otherwise : Number(value(id)));
  const apply = () => {
    const text = value("text").trim().toLowerCase(), kind = value("class"), state = value("state");
    const least = number("least", 0), most = number("most", Infinity), small = number("small", 0), large = number("large", Infinity);
    const bySide = value("small") !== "" || value("large") !== "";
    shown = [];
    index.forEach(([name, own, classes, objects, smallest, largest], at) => {
      if ((!text || name.toLowerCase().includes(text))
        && (kind === "" || (kind === "-1" ? classes.length === 0 : classes.includes(Number(kind))))
        && (state === "" || own === Number(state)) && objects >= least && objects <= most
        && (!bySide || (largest > 0 && largest >= small && smallest <= large))) { shown.push(at); }
    });
    const orders = {
      more: (a, b) => index[b][3] - index[a][3], fewer: (a, b) => index[a][3] - index[b][3],
      small: (a, b) => (index[a][4] || Infinity) - (index[b][4] || Infinity), large: (a, b) => index[b][5] - index[a][5],
      apart: (a, b) => index[b][6] - index[a][6],
    };
    const order = orders[value("order")];
    if (order) { shown.sort((a, b) => order(a, b) || a - b); }
    const all = counted(meta.images, "image");
    say(index.length < meta.images ? `${counted(index.length, "image")} of ${all} read ...`
      : shown.length === meta.images ? all : `${shown.length.toLocaleString("en")} of ${all}`);
    for (const card of cards.values()) { card.remove(); }
    cards.clear();
    place();
  };

  // --- One image

  const tableOf = (title, marks, answers) => {
    const body = make("tbody");
    marks.forEach((mark, at) => {
      const [key] = meta.classes[mark[0]], sign = make("span", { class: `sign b${mark[0]}` });
      const cells = [make("td", {}, sign, key), make("td", {}, mark[1]), make("td", { class: "n" }, String(mark[4])), make("td", {}, mark[3])];
      if (mark.length > 5) { cells.push(mark[5] < 0 ? make("td", { class: "bad" }, "alone") : make("td", { class: "good" }, "paired")); }
      const line = make("tr", { tabindex: "0" }, ...cells);
      const heat = (on) => () => {
        line.classList.toggle("hot", on);
        byId("views").querySelectorAll(`svg[data-of="${title}"] path[data-at="${at}"]`).forEach((each) => each.classList.toggle("hot", on));
      };
      for (const event of ["mouseenter", "focus"]) { line.addEventListener(event, heat(true)); }
      for (const event of ["mouseleave", "blur"]) { line.addEventListener(event, heat(false)); }
      body.append(line);
    });
    for (const [key, answer] of answers) { body.append(make("tr", {}, make("td", {}, key), make("td", {}, "answer"), make("td"), make("td", {}, answer))); }
    const names = ["class", "shape", "side in px", "answers", ...(meta.compared ? ["compared"] : [])];
    const head = make("tr", {}, ...names.map((name) => make("th", { scope: "col", ...(name === "side in px" ? { class: "n" } : {}) }, name)));
    return make("table", {}, make("caption", { class: "dim" }, title), make("thead", {}, head), body);
  };
  const open = async (at) => {
    const image = await row(at), position = shown.indexOf(at);
    current = at;
    grid.hidden = byId("filters").hidden = true; byId("one").hidden = false;
    byId("name").textContent = image.n;
    const known = [`${image.w} x ${image.h} px`, meta.states[index[at][1]].toLowerCase(), position >= 0 && `${position + 1} of ${shown.length}`,
      image.u && `${counted(image.u, "shape")} incomplete and not drawn`].filter(Boolean).join(", ");
    const facts = byId("facts");
    facts.replaceChildren(image.x ? `${known}: ${image.x}` : known);
    for (const [address, word] of [[image.e, "Edit at the service"], [image.o, "The image itself"]]) {
      if (address) { facts.append(" ", make("a", { href: address, rel: "noreferrer noopener", target: "_blank" }, word)); }
    }
    const views = [["Labels", image.m, image.a]];
    if (image.p) { views.push(["Compared", image.p, image.b]); }
    byId("views").replaceChildren(...views.map(([title, marks]) => {
      const frame = frameOf(image, marks, image.o);
      frame.style.aspectRatio = `${image.w || 4} / ${image.h || 3}`;
      frame.querySelector("svg").setAttribute("data-of", title);
      return make("figure", {}, make("figcaption", {}, `${title}: ${counted(marks.length, "object")}`), frame);
    }));
    byId("tables").replaceChildren(...views.map(([title, marks, answers]) => tableOf(title, marks, answers)));
    byId("before").disabled = position <= 0; byId("after").disabled = position < 0 || position >= shown.length - 1;
    document.title = `${image.n} - ${meta.title}`;
    byId("name").focus({ preventScroll: true });
    scrollTo(0, 0);
  };
  let scrolled = 0;
  const close = () => {
    const last = current;
    byId("one").hidden = true; grid.hidden = byId("filters").hidden = false; current = -1; document.title = meta.title;
    scrollTo(0, scrolled); place();
    if (cards.has(last)) { cards.get(last).firstChild.focus({ preventScroll: true }); }
  };
  const follow = () => { // the address says what is shown
    const found = /^#image=(\d+)$/.exec(location.hash);
    if (found && Number(found[1]) < index.length) {
      if (current < 0) { scrolled = scrollY; }
      open(Number(found[1])).catch((error) => say(error.message));
    } else if (current >= 0) { close(); }
  };
  const go = (step) => {
    const next = shown[shown.indexOf(current) + step];
    if (current >= 0 && next !== undefined) { location.replace(`#image=${next}`); }
  };

  // --- Classes that are drawn, keys, and the beginning

  const off = new Set();
  const style = () => {
    const rules = meta.classes.map(([, color], at) => `.c${at}{stroke:${color}${off.has(at) ? ";display:none" : ""}}.b${at}{background:${color}}`
      + Object.entries(meta.cover).map(([kind, cover]) => `svg.marks path.c${at}.${kind}{fill:${color};fill-opacity:${cover};fill-rule:evenodd}`).join(""));
    sheet.replaceSync(rules.join(""));
  };
  const press = (button, on) => button.setAttribute("aria-pressed", String(on));
  const toggleLabels = () => press(byId("labels"), !document.body.classList.toggle("unlabelled"));
  const toggleTheme = () => {
    const style = document.documentElement.style, system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    style.colorScheme = (style.colorScheme || system) === "dark" ? "light" : "dark";
  };
  const begin = async () => {
    document.adoptedStyleSheets = [sheet];
    await load("meta-0");
    byId("title").textContent = document.title = meta.title;
    byId("notes").textContent = [`Made ${meta.made}.`, ...(meta.compared ? ["Dashed: without a partner."] : []), ...meta.notes].join(" ");
    const before = (a, b) => (a < b ? -1 : 1);
    meta.classes.map((each, at) => [each, at]).sort(([a], [b]) => b[2] - a[2] || before(a[0], b[0])).forEach(([[key, , count], at]) => {
      byId("class").append(make("option", { value: at }, key));
      const button = make("button", { type: "button", "aria-pressed": "true" }, make("i", { class: `b${at}` }), `${key} ${count.toLocaleString("en")}`);
      button.addEventListener("click", () => { const on = off.delete(at); if (!on) { off.add(at); } press(button, on); style(); });
      byId("classes").append(button);
    });
    meta.states.map((state, at) => [state, at]).sort(([a], [b]) => before(a, b)).forEach(([state, at]) => byId("state").append(make("option", { value: at }, state ? state.toLowerCase() : "no task")));
    byId("order").querySelector('[value="apart"]').hidden = !meta.compared;
    if (meta.compared) { byId("order").value = "apart"; }
    style();
    for (let first = 0; first < meta.images; first += meta.chunk) {
      await load(`index-${first / meta.chunk}`);
      if (first === 0 || index.length === meta.images) { apply(); if (current < 0) { follow(); } }
    }
    if (meta.images === 0) { say("There is no image."); }
    let delay = 0;
    byId("filters").addEventListener("input", () => { clearTimeout(delay); delay = setTimeout(apply, 60); });
    byId("filters").addEventListener("reset", () => setTimeout(apply));
    byId("filters").addEventListener("submit", (event) => event.preventDefault());
    byId("labels").addEventListener("click", toggleLabels);
    byId("theme").addEventListener("click", toggleTheme);
    byId("back").addEventListener("click", () => { location.hash = ""; });
    byId("before").addEventListener("click", () => go(-1));
    byId("after").addEventListener("click", () => go(1));
    addEventListener("scroll", () => requestAnimationFrame(place), { passive: true });
    addEventListener("resize", place);
    addEventListener("hashchange", follow);
    addEventListener("keydown", (event) => {
      if (event.target.matches("input, select") || event.ctrlKey || event.metaKey || event.altKey) { return; }
      const act = { "/": () => byId("text").focus(), ArrowLeft: () => go(-1), ArrowRight: () => go(1),
        Escape: () => { if (current >= 0) { location.hash = ""; } }, l: toggleLabels, d: toggleTheme }[event.key];
      if (act) { act(); if (event.key === "/") { event.preventDefault(); } }
    });
    document.body.dataset.ready = "yes";
  };
  begin().catch((error) => say(error.message));
})();
