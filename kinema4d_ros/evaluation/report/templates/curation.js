// Copyright 2026 The kinema4d_ros authors. SPDX-License-Identifier: Apache-2.0
// Hides the episodes that the filters do not want. Without it all of them are shown.
'use strict';
const filters = document.querySelector('.filters');
const episodes = [...document.querySelectorAll('.episode')];
const at = id => document.getElementById(id).value.trim().toLowerCase();

function isWanted(data) {
  const least = (id, value) => !Number(at(id)) || Number(value) >= Number(at(id));
  // an episode that says nothing about a number is not hidden by it
  const most = (id, value) => at(id) === '' || value === undefined ||
    Number(value) <= Number(at(id));
  return (!at('label') || data.label === at('label')) &&
    (!at('state') || data.state === at('state')) && data.words.includes(at('words')) &&
    least('share', data.share) && least('known', data.known) &&
    most('shift', data.shift) && most('residual', data.residual);
}
function show() {
  let count = 0;
  for (const episode of episodes) {
    episode.hidden = !isWanted(episode.dataset);
    count += !episode.hidden;
  }
  document.getElementById('count').textContent = `${count} of ${episodes.length}`;
}
filters.addEventListener('input', show);
filters.addEventListener('submit', event => event.preventDefault());
show();
