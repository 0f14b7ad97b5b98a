// The page works without this: it only adds enlarging, sorting and the threshold slider.
document.body.classList.add('with-script');

const dialog = document.querySelector('dialog');
document.querySelectorAll('.card button').forEach((button) => {
  button.addEventListener('click', () => {
    const picture = button.querySelector('svg').cloneNode(true);
    if (button.dataset.whole) picture.setAttribute('viewBox', button.dataset.whole);
    const caption = button.parentElement.querySelector('figcaption').cloneNode(true);
    dialog.querySelector('div').replaceChildren(picture, ...caption.childNodes);
    dialog.showModal();
  });
});
dialog.addEventListener('click', (event) => {
  if (event.target === dialog) dialog.close();
});

const order = document.querySelector('#order');
order?.addEventListener('change', () => {
  const grid = document.querySelector('#images .grid');
  const [key, sign] = order.value === 'name' ? ['name', 1] : ['f1', order.value === 'best' ? -1 : 1];
  const value = (card) => (key === 'name' ? card.dataset.name : Number(card.dataset.f1));
  const cards = [...grid.children];
  cards.sort((a, b) => sign * (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : 0));
  grid.replaceChildren(...cards);
});

const slider = document.querySelector('#slider');
const curve = JSON.parse(document.querySelector('#curve').textContent);
function count() {
  const at = curve.filter((row) => row[0] >= Number(slider.value)).pop();
  const [, tp, fp, fn] = at ?? [0, 0, 0, curve[0][1] + curve[0][3]];
  const figures = { tp, fp, fn, precision: tp / (tp + fp), recall: tp / (tp + fn) };
  document.querySelector('#at').textContent = Number(slider.value).toFixed(3);
  for (const [name, value] of Object.entries(figures)) {
    const text = Number.isNaN(value) ? '–' : name.length > 2 ? value.toFixed(3) : value;
    document.querySelector(`#at-${name}`).textContent = text;
  }
}
if (slider) {
  slider.addEventListener('input', count);
  count();
}
