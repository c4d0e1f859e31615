// Small helpers to build pages; text is always text, never HTML.

/** An element with properties, attributes (those with a dash, and role) and children. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role" || name === "for") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** Paragraphs of a text that has empty lines between them. */
export function paragraphs(text) {
  return text
    .split(/\n\s*\n/)
    .filter((part) => part.trim())
    .map((part) => element("p", { textContent: part.trim() }));
}

/** Put a screen in place of the last one and let screen readers start at its heading. */
export function show(...children) {
  const main = document.querySelector("main");
  main.replaceChildren(...children.filter((child) => child !== null));
  const heading = main.querySelector("h1, h2");
  if (heading) {
    heading.tabIndex = -1;
    heading.focus();
  }
  window.scrollTo(0, 0);
}
