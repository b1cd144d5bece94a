// Copyright 2026 The kinema4d_ros authors. SPDX-License-Identifier: Apache-2.0
// The video and the drawing of the distance show the same moment. All else works without this.
'use strict';
for (const card of document.querySelectorAll('.card')) {
  const video = card.querySelector('video');
  const drawing = card.querySelector('.timeline');
  if (!drawing) continue;
  const cursor = drawing.querySelector('.cursor');
  const readout = card.querySelector('.readout');
  const data = drawing.dataset;
  const [left, right, duration, near] =
    ['left', 'right', 'duration', 'near'].map(key => Number(data[key]));
  const samples = data.samples.split(';').map(sample => {
    const [time, distance, link] = sample.split(',');
    return {time: Number(time), distance: Number(distance), link};
  });

  function show(time) {
    const x = left + (right - left) * Math.min(1, Math.max(0, time / duration));
    cursor.setAttribute('x1', x);
    cursor.setAttribute('x2', x);
    cursor.style.visibility = 'visible';
    const off = sample => Math.abs(sample.time - time);
    const at = samples.reduce((best, sample) => off(sample) < off(best) ? sample : best);
    const where = at.distance <= 0 ? 'contact' : at.distance < near ? 'near miss' : 'clear';
    readout.textContent = `${time.toFixed(1)} s: ` + (off(at) > duration / 40 ?
      'farther away' : `${at.distance.toFixed(0)} mm, ${at.link} (${where})`);
  }
  if (video) {
    let drawn = 0;
    const follow = () => {
      show(Math.min(duration, video.currentTime));
      drawn = video.paused ? 0 : requestAnimationFrame(follow);
    };
    video.addEventListener('play', () => { if (!drawn) follow(); });
    video.addEventListener('seeked', follow);
  }
  function pick(event) {
    const point = new DOMPoint(event.clientX, event.clientY)
      .matrixTransform(drawing.getScreenCTM().inverse());
    const time = duration * Math.min(1, Math.max(0, (point.x - left) / (right - left)));
    if (video) video.currentTime = time;
    show(time);
  }
  drawing.addEventListener('pointerdown', pick);
  drawing.addEventListener('pointermove', event => { if (event.buttons) pick(event); });
}
addEventListener('beforeprint', () => {
  for (const fold of document.querySelectorAll('details')) fold.open = true;
});
