// What runs in the reader's browser, in a page of a catalogue: the search, and how it looks. Of ours alone: nothing of the
// user's is put into either text.

export const style = `
body { font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; }
small { font-weight: normal; opacity: 0.7; }
input { font: inherit; width: 20rem; max-width: 100%; }
section { content-visibility: auto; contain-intrinsic-size: auto 20rem; }
summary { cursor: pointer; padding: 0.2rem 0; }
details[open] { border-left: 0.2rem solid; padding-left: 1rem; }
pre { overflow: auto; padding: 0.5rem; border: 1px solid; }
[hidden] { display: none; }
:root { color-scheme: light dark; }
`;

export const script = `
const box = document.querySelector('input');
const found = document.querySelector('output');
const events = [...document.querySelectorAll('details')];
const sections = [...document.querySelectorAll('section')];
function search() {
  const words = box.value.toLowerCase().split(/\\s+/).filter((word) => word !== '');
  let count = 0;
  for (const one of events) {
    one.hidden = !words.every((word) => one.dataset.find.includes(word));
    if (!one.hidden) count++;
  }
  for (const one of sections) one.hidden = words.length > 0 && one.querySelector('details:not([hidden])') === null;
  found.textContent = count + ' of ' + events.length + ' events';
}
function openNamed() {
  const named = document.getElementById(location.hash.slice(1));
  if (named !== null && events.includes(named)) named.open = true;
}
box.addEventListener('input', search);
addEventListener('hashchange', openNamed);
openNamed();
search();
`;
