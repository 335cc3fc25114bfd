// Elements in short. Text is only ever text here: nothing takes markup.

const SVG = "http://www.w3.org/2000/svg";

/** `make("button", { class: "run", "aria-label": "Run" }, "Run")`; null and undefined leave out an attribute. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

const SHAPES = {
  run: "M4.5 2.5v11l9-5.5z",
  stop: "M3.5 3.5h9v9h-9z",
  up: "M8 13V3.5M3.5 8 8 3.5 12.5 8",
  down: "M8 3v9.5M3.5 8 8 12.5 12.5 8",
  remove: "M3.5 3.5l9 9M12.5 3.5l-9 9",
  add: "M8 3v10M3 8h10",
  again: "M12.9 9.4a5.2 5.2 0 1 1-1-5M12.6 1.8v3.1H9.5",
};
const FILLED = new Set(["run", "stop"]);

/** A picture that says nothing to screen readers: the button that it is in has a name. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", FILLED.has(name) ? "icon filled" : "icon");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", SHAPES[name]);
  svg.append(path);
  return svg;
}

/** A button of one picture; `name` is what it is called. */
export const iconButton = (shape, name, act, attributes = {}) =>
  make("button", { type: "button", class: "quiet", "aria-label": name, title: name, onclick: act, ...attributes }, icon(shape));
