// Completes what is typed into a search box (ARIA combobox with a list). Whatever fails here, the box searches as it does
// without this file.

const WAIT_MS = 150;
const LENGTH_MIN = 2;
const KINDS = { street: "Street", neighborhood: "Neighborhood", entity: "Person or firm", address: "Address", planning: "Planning record" };

for (const input of document.querySelectorAll("input[data-suggest]")) complete(input);

function complete(input) {
  const list = document.createElement("ul");
  list.id = `${input.id}-list`;
  list.className = "suggestions";
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Suggestions");
  list.hidden = true;
  const status = document.createElement("p");
  status.className = "sr";
  status.setAttribute("role", "status");
  input.after(list, status);
  for (const [name, value] of Object.entries({
    role: "combobox",
    autocomplete: "off",
    "aria-autocomplete": "list",
    "aria-expanded": "false",
    "aria-controls": list.id,
  })) {
    input.setAttribute(name, value);
  }

  let active = -1;
  let timer;
  let asking;
  let asked = "";

  function close() {
    clearTimeout(timer);
    asking?.abort();
    asked = "";
    active = -1;
    list.hidden = true;
    list.replaceChildren();
    status.textContent = "";
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }

  function choose(next) {
    list.children[active]?.setAttribute("aria-selected", "false");
    active = next;
    const option = list.children[active];
    option?.setAttribute("aria-selected", "true");
    option?.scrollIntoView({ block: "nearest" });
    if (option) input.setAttribute("aria-activedescendant", option.id);
    else input.removeAttribute("aria-activedescendant");
  }

  function show(suggestions) {
    if (suggestions.length === 0) return close();
    active = -1;
    input.removeAttribute("aria-activedescendant");
    list.replaceChildren(...suggestions.map((suggestion, index) => option(suggestion, `${list.id}-${index}`)));
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
    status.textContent = suggestions.length === 1 ? "1 suggestion" : `${suggestions.length} suggestions`;
  }

  async function ask(text) {
    asking?.abort();
    asking = new AbortController();
    asked = text;
    try {
      const answer = await fetch(`/api/v1/suggest?q=${encodeURIComponent(text)}`, { signal: asking.signal });
      if (!answer.ok) return close();
      const { suggestions } = await answer.json();
      if (asked === text && document.activeElement === input) show(suggestions);
    } catch (error) {
      if (error.name !== "AbortError") close();
    }
  }

  input.addEventListener("input", (event) => {
    clearTimeout(timer);
    if (event.isComposing) return;
    const text = input.value.trim();
    if (text.length < LENGTH_MIN) return close();
    if (text !== asked) timer = setTimeout(ask, WAIT_MS, text);
  });

  input.addEventListener("keydown", (event) => {
    if (list.hidden || event.isComposing) return;
    const count = list.children.length;
    if (event.key === "ArrowDown") choose(active + 1 < count ? active + 1 : -1);
    else if (event.key === "ArrowUp") choose(active < 0 ? count - 1 : active - 1);
    else if (event.key === "Escape") close();
    else if (event.key === "Enter" && active >= 0) location.assign(list.children[active].dataset.href);
    else return;
    event.preventDefault();
  });

  // A press on the list must not take the focus away before the click arrives.
  list.addEventListener("pointerdown", (event) => event.preventDefault());
  list.addEventListener("click", (event) => {
    const href = event.target.closest("[data-href]")?.dataset.href;
    if (href) location.assign(href);
  });
  input.addEventListener("blur", close);
}

function option({ kind, term, href, permits }, id) {
  const option = document.createElement("li");
  option.id = id;
  option.dataset.href = href;
  option.setAttribute("role", "option");
  option.setAttribute("aria-selected", "false");
  const name = document.createElement("span");
  name.textContent = term;
  const what = document.createElement("span");
  what.className = "meta";
  const many = permits > 0 ? ` · ${permits.toLocaleString("en-US")} ${permits === 1 ? "permit" : "permits"}` : "";
  what.textContent = `${KINDS[kind] ?? ""}${many}`;
  option.append(name, " ", what);
  return option;
}
