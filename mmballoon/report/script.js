// The page works without this: it only adds enlarging, sorting and the threshold slider.
document.body.classList.add('with-script');

const dialog = document.querySelector('dialog');
document.querySelectorAll('.card button').forEach((button) => {
  button.addEventListener('click', () => {
    const picture = button.querySelector('svg').cloneNode(true);
    picture.setAttribute('viewBox', button.dataset.whole);
    const caption = button.parentElement.querySelector('figcaption').cloneNode(true);
    dialog.querySelector('div').replaceChildren(picture, ...caption.childNodes);
    dialog.showModal();
  });
});
dialog.addEventListener('click', (event) => {
  if (event.target === dialog) dialog.close();
});

const order = document.querySelector('#order');
order.addEventListener('change', () => {
  const grid = document.querySelector('#images ~ .grid');
  const byName = order.value === 'name';
  const sign = order.value === 'best' ? -1 : 1;
  const value = (card) => (byName ? card.dataset.name : Number(card.dataset.f1));
  const cards = [...grid.children];
  cards.sort((a, b) => sign * (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : 0));
  grid.replaceChildren(...cards);
});

const slider = document.querySelector('#slider');
const curve = JSON.parse(document.querySelector('#curve').textContent);
function count() {
  const at = curve.filter((row) => row[0] >= Number(slider.value)).pop();
  const [, tp, fp, fn] = at ?? [0, 0, 0, curve[0][1] + curve[0][3]];
  const fractions = { precision: tp / (tp + fp), recall: tp / (tp + fn), f1: (2 * tp) / (2 * tp + fp + fn) };
  for (const [name, value] of Object.entries({ tp, fp, fn })) {
    document.querySelector(`#at-${name}`).textContent = value;
  }
  for (const [name, value] of Object.entries(fractions)) {
    document.querySelector(`#at-${name}`).textContent = Number.isNaN(value) ? '–' : value.toFixed(3);
  }
  document.querySelector('#at').textContent = Number(slider.value).toFixed(3);
  document.querySelector('.mark').setAttribute('d', `M${50 + 450 * slider.value} 260V20`);
}
if (slider) {
  slider.addEventListener('input', count);
  count();
}
