// Shows the state of the client. All text is set as text: none of it is markup.
'use strict';

const base = document.body.dataset.base;
// In seconds: how much is kept, and how much a chart shows at least.
const MAX_SECONDS = 600;
const MIN_SECONDS = 60;
const state = { from: 0, lines: new Map(), update: null, lastEvent: 0 };

// ---- data ----

function begin(series) {
  state.lines.clear();
  state.from = series.from;
  extend(series);
}

// A missing value counts as zero if the second was reported, and is unknown otherwise.
function fillUp(line, end) {
  const calls = state.lines.get('calls');
  while (line.length < end - state.from) line.push((calls[line.length] ?? null) === null ? null : 0);
}

// Each line has a value for each second from `state.from` on.
function extend(series) {
  const end = series.from + series.calls.length;
  const put = (name, values) => {
    const line = state.lines.get(name) ?? [];
    state.lines.set(name, line);
    fillUp(line, series.from);
    line.push(...values);
  };
  for (const name of ['calls', 'requests', 'saved', 'p50', 'p95', 'p99']) put(name, series[name]);
  for (const [of, values] of Object.entries(series.cache)) put('cache ' + of, values);
  for (const [of, values] of Object.entries(series.errors)) put('error ' + of, values);
  for (const line of state.lines.values()) fillUp(line, end);
  const over = Math.max(end - state.from - MAX_SECONDS, 0);
  for (const line of state.lines.values()) line.splice(0, over);
  state.from += over;
  // Error types without an error for ten minutes are removed, as on the server.
  for (const [name, line] of state.lines) {
    if (name.startsWith('error ') && !line.some((value) => value > 0)) state.lines.delete(name);
  }
}

const line = (name) => state.lines.get(name) ?? [];
const sum = (values) => values.reduce((all, value) => all + (value ?? 0), 0);

// ---- formats ----

const number = (value, digits = 0) =>
  value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
const share = (value) => number(value * 100, 2) + ' %';
const money = (cost) => number(cost.price / 100, 2) + ' ' + cost.currency + (cost.exceeded ? ', exceeded' : '');

function time(seconds) {
  if (seconds < 0) return 'over';
  if (seconds < 1) return number(seconds * 1000) + ' ms';
  if (seconds < 60) return number(seconds, seconds < 10 ? 1 : 0) + ' s';
  if (seconds < 3600) return Math.floor(seconds / 60) + ' min ' + Math.floor(seconds % 60) + ' s';
  if (seconds < 86400) return Math.floor(seconds / 3600) + ' h ' + Math.floor((seconds % 3600) / 60) + ' min';
  return Math.floor(seconds / 86400) + ' d ' + Math.floor((seconds % 86400) / 3600) + ' h';
}

// The local time of day, with the date if it is not today.
function moment(text, now) {
  const [at, today] = [new Date(text), new Date(now)];
  const day = at.toDateString() === today.toDateString() ? '' : at.toLocaleDateString('en-CA') + ' ';
  return make('time', { datetime: text, title: text }, day + at.toLocaleTimeString('en-GB'));
}

// ---- elements ----

function make(name, properties = {}, ...children) {
  const svg = ['svg', 'path', 'line', 'rect'].includes(name);
  const element = svg ? document.createElementNS('http://www.w3.org/2000/svg', name) : document.createElement(name);
  for (const [key, value] of Object.entries(properties)) element.setAttribute(key, value);
  element.append(...children.filter((child) => child !== null));
  return element;
}

const figure = (name, text) => make('span', { 'data-figure': name }, text);

// Writes only differences, so that a selection of the user stays.
function set(name, text, kind) {
  for (const element of document.querySelectorAll(`[data-figure="${CSS.escape(name)}"]`)) {
    if (element.textContent !== text) element.textContent = text;
    if (kind !== undefined) element.className = kind;
  }
}

// Rows are created again only if they differ; their figures are written in place.
function fill(parent, rows, write) {
  const key = JSON.stringify(rows.map((row) => row.key));
  if (parent.dataset.key !== key) {
    parent.dataset.key = key;
    parent.replaceChildren(...rows.map((row) => row.make()).flat());
  }
  rows.forEach(write);
}

// ---- charts ----

const WIDTH = 600;
const HEIGHT = 100;
const charts = new Map();

// Each name keeps its colour and its dashes when others are added or removed.
const styles = new Map();

function style(id, name) {
  const known = styles.get(id) ?? new Map();
  styles.set(id, known);
  if (!known.has(name)) {
    const used = new Set(charts.get(id)?.paths.keys() ?? []);
    const taken = new Set([...known].filter(([of]) => used.has(of)).map(([, index]) => index));
    let index = 0;
    while (taken.has(index) && index < 9) index += 1;
    known.set(name, index % 9);
  }
  return 's' + known.get(name);
}

function chart(id, lines, unit) {
  const parent = document.getElementById(id);
  let parts = charts.get(id);
  if (!parts) {
    const svg = make('svg', { class: 'chart', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img' });
    for (const y of [25, 50, 75]) svg.append(make('line', { x1: 0, x2: WIDTH, y1: y, y2: y }));
    const top = make('span', { 'data-figure': id + '-top' });
    const above = make('div', { class: 'scale' }, top);
    const startLabel = make('span');
    const below = make('div', { class: 'scale', 'aria-hidden': 'true' }, startLabel, make('span', {}, 'now'));
    const legend = make('ul', { class: 'legend' });
    parent.append(above, svg, below, legend);
    parts = { svg, top, startLabel, legend, paths: new Map() };
    charts.set(id, parts);
  }
  const span = Math.max(line('calls').length, MIN_SECONDS);
  parts.startLabel.textContent = time(span) + ' ago';
  const most = Math.max(...lines.flatMap(([, values]) => values.map((value) => value ?? 0)), 0);
  const top = nice(most);
  parts.top.textContent = number(top, top < 10 ? 1 : 0) + ' ' + unit;
  for (const [name, path] of parts.paths) {
    if (!lines.some(([of]) => of === name)) {
      path.path.remove();
      path.item.remove();
      parts.paths.delete(name);
    }
  }
  const summaries = [];
  lines.forEach(([name, values]) => {
    let path = parts.paths.get(name);
    if (!path) {
      const value = make('span', { 'data-figure': id + ' ' + name });
      path = { path: make('path'), key: make('path', { d: 'M0 5H30' }), value };
      path.item = make('li', {}, make('svg', { viewBox: '0 0 30 10', 'aria-hidden': 'true' }, path.key), name + ' ', value);
      parts.paths.set(name, path);
    }
    for (const of of [path.path, path.key]) of.setAttribute('class', style(id, name));
    path.path.setAttribute('d', drawn(values, top, span));
    if (path.path.parentNode === null) parts.svg.append(path.path);
    if (path.item.parentNode === null) parts.legend.append(path.item);
    const last = values.at(-1) ?? null;
    path.value.textContent = last === null ? '–' : number(last, last < 10 ? 1 : 0);
    const all = values.filter((value) => value !== null);
    const range = all.length ? `, from ${number(Math.min(...all), 1)} to ${number(Math.max(...all), 1)}` : '';
    summaries.push(`${name} ${last === null ? 'none' : path.value.textContent}${range}`);
  });
  const caption = parent.querySelector('figcaption').textContent;
  parts.svg.setAttribute('aria-label', `${caption}, now and in ${time(span)}: ${summaries.join('; ') || 'none'}`);
}

// The newest value is at the right.
function drawn(values, top, span) {
  let path = '';
  let pen = false;
  values.forEach((value, index) => {
    if (value === null) {
      pen = false;
      return;
    }
    const x = WIDTH - (values.length - 1 - index) * (WIDTH / (span - 1));
    path += (pen ? 'L' : 'M') + x.toFixed(1) + ' ' + (HEIGHT - 1 - (value / top) * (HEIGHT - 4)).toFixed(1);
    pen = true;
  });
  return path;
}

function nice(value) {
  if (value <= 1) return 1;
  const size = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 2.5, 5, 10].map((step) => step * size).find((step) => step >= value);
}

// Averages of the last five seconds: values of one second vary too much to be readable.
function smooth(values) {
  let sum = 0;
  return values.map((value, index) => {
    sum += (value ?? 0) - (index >= 5 ? values[index - 5] ?? 0 : 0);
    return value === null ? null : sum / Math.min(index + 1, 5);
  });
}

// ---- the page ----

function draw() {
  const { update } = state;
  if (!update) return;
  const of = (prefix) => [...state.lines.keys()].filter((name) => name.startsWith(prefix)).sort();
  const named = (prefix) => of(prefix).map((name) => [name.slice(prefix.length), smooth(line(name))]);
  chart('chart-calls', [['calls', smooth(line('calls'))], ['requests', smooth(line('requests'))]], 'a second');
  chart('chart-latency', ['p50', 'p95', 'p99'].map((name) => [name, line(name)]), 'ms');
  chart('chart-errors', named('error '), 'a second');
  chart('chart-cache', named('cache '), 'a second');

  const { health } = update;
  set('identity', health.identity);
  set('status', health.status.replace('_', ' '), 'pill ' + health.status);
  const at = document.querySelector('[data-figure=time]');
  at.textContent = moment(health.time, health.time).textContent;
  at.setAttribute('datetime', health.time);
  const reasons = document.getElementById('reasons');
  reasons.hidden = health.reasons.length === 0;
  fill(reasons, health.reasons.map((reason, index) => ({ key: index, make: () => make('li', { 'data-figure': 'reason ' + index }) })),
    (row) => set('reason ' + row.key, health.reasons[row.key]));

  const last = (name) => sum(line(name).slice(-10)) / Math.max(Math.min(line(name).length, 10), 1);
  set('calls-a-second', number(last('calls'), 1));
  set('requests-a-second', number(last('requests'), 1));
  const reads = ['hit', 'revalidated', 'stale', 'miss', 'bypass'].map((name) => sum(line('cache ' + name)));
  const all = sum(reads);
  set('cache-hit-rate', all ? share((all - reads[3] - reads[4]) / all) : '–');
  set('quota-saved', number(sum(line('saved'))));
  set('in-flight', number(health.limits.in_flight));
  set('queued', number(health.limits.queued));
  objectives(health.objectives);
  limits(update.limits);
  tokens(update.tokens, Date.parse(health.time));
  servers(health);
  if (update.usage) usage(update.usage);
  webhooks(update.webhooks);
}

const TITLES = { error_rate: 'Error rate', mean_latency: 'Mean latency', availability: 'Availability' };

function objectives(all) {
  const shown = (kind, value) => (kind === 'mean_latency' ? time(value) : share(value));
  for (const { kind, windows } of all) {
    if (kind === 'availability') continue;
    const { value, met } = windows[0];
    const text = value === null ? '–' : shown(kind, value);
    set(kind.replace('_', '-'), text, 'big' + (met === false ? ' missed' : ''));
  }
  const rows = all.map(({ kind, target, windows }) => ({
    key: `${kind} ${target}`,
    kind,
    windows,
    make: () => make('tr', {},
      make('th', { scope: 'row' }, TITLES[kind], make('span', { class: 'quiet' },
        (kind === 'availability' ? ' ≥ ' : ' < ') + shown(kind, target))),
      ...windows.map((window) => make('td', {}, figure(`${kind} ${window.minutes}`, '')))),
  }));
  fill(document.querySelector('#objectives tbody'), rows, ({ kind, windows }) => {
    for (const { minutes, value, met } of windows) {
      const text = value === null ? 'no call' : `${shown(kind, value)} ${met ? '✓ met' : '✗ missed'}`;
      set(`${kind} ${minutes}`, text, value === null ? 'quiet' : met ? 'met' : 'missed');
    }
  });
}

// A bar that is filled in part, and a mark.
function bar(label) {
  return make('svg', { class: 'bar', viewBox: '0 0 100 10', preserveAspectRatio: 'none', role: 'img', 'aria-label': label },
    make('rect', { class: 'track', width: 100, height: 10, rx: 2 }),
    make('rect', { class: 'fill', width: 0, height: 10, rx: 2 }));
}

function level(element, filled, kind, label, mark) {
  const fill = element.querySelector('.fill');
  fill.setAttribute('width', Math.min(Math.max(filled, 0), 1) * 100);
  fill.setAttribute('class', 'fill ' + kind);
  element.setAttribute('aria-label', label);
  element.querySelector('.mark')?.remove();
  if (mark !== undefined) {
    const x = Math.min(mark, 0.995) * 100;
    element.append(make('line', { class: 'mark', x1: x, x2: x, y1: 0, y2: 10 }));
  }
}

function limits(all) {
  const rows = all.flatMap(({ identity, primary, paused_for_secs: paused }) => [
    ...(paused === null ? [] : [{ key: `${identity} pause`, identity, paused,
      make: () => make('p', { class: 'missed' }, figure(`pause ${identity}`, '')) }]),
    ...primary.map((limit) => ({ key: `${identity} ${limit.resource}`, limit,
      make: () => make('div', { class: 'gauge', 'data-limit': `${identity} ${limit.resource}` },
        make('div', {}, make('span', {}, limit.resource, make('span', { class: 'quiet' }, ' ' + identity)),
          figure(`limit ${identity} ${limit.resource}`, '')),
        bar(limit.resource), make('span', { class: 'quiet' }, figure(`reset ${identity} ${limit.resource}`, ''))) })),
  ]);
  if (rows.length === 0) rows.push(none('No limit is known yet.'));
  fill(document.getElementById('limits'), rows, ({ key, limit, identity, paused }) => {
    if (key === '') return;
    if (!limit) {
      set(`pause ${identity}`, `${identity}: paused for ${time(paused)} after a secondary rate limit`);
      return;
    }
    const left = limit.remaining / limit.limit;
    const text = `${number(limit.remaining)} of ${number(limit.limit)} left`;
    set(`limit ${key}`, text);
    set(`reset ${key}`, limit.reset === null ? 'a new window begins with the next call' : 'reset in ' + time(limit.reset));
    const element = document.querySelector(`[data-limit="${CSS.escape(key)}"] .bar`);
    level(element, left, left > 0.2 ? '' : left > 0.05 ? 'warn' : 'bad', `${limit.resource}: ${text}`);
  });
}

// A row for an empty table.
function none(text) {
  return { key: '', make: () => make('p', { class: 'quiet' }, text) };
}

function tokens(all, now) {
  const rows = all.map((token) => ({ key: token.identity, token,
    make: () => make('tr', {}, make('th', { scope: 'row' }, token.identity),
      make('td', {}, figure(`token ${token.identity}`, '')),
      make('td', {}, figure(`expiry ${token.identity}`, ''))) }));
  fill(document.querySelector('#tokens tbody'), rows, ({ key, token }) => {
    const failed = token.failure ? `, failing: ${token.failure}` : '';
    const is = token.is_valid ? 'valid' : token.issued_at ? 'expired' : 'none yet';
    set(`token ${key}`, is + failed, failed ? 'missed' : token.is_valid ? 'met' : 'quiet');
    const left = token.expires_at && (Date.parse(token.expires_at) - now) / 1000;
    set(`expiry ${key}`, !token.is_valid ? '–' : left === null ? 'never' : time(left));
  });
}

function servers(health) {
  const rows = health.circuits.map(({ server, state }) => ({ key: 'circuit ' + server, name: server,
    text: state.replace('_', ' ') === 'closed' ? 'available' : 'failing: circuit ' + state.replace('_', ' '),
    kind: state === 'closed' ? 'met' : 'missed' }));
  if (health.store) {
    const { unavailable_for_secs: unavailable, outages } = health.store;
    rows.push({ key: 'store', name: 'Store', text: unavailable === null ? 'available' : `unavailable for ${time(unavailable)}`, kind: unavailable === null ? 'met' : 'missed' });
    rows.push({ key: 'outages', name: 'Outages of the store', text: number(outages) });
  } else {
    rows.push({ key: 'store', name: 'Store', text: 'none', kind: 'quiet' });
  }
  list('health', rows);
}

function list(id, rows) {
  for (const row of rows) {
    row.make = () => [make('dt', {}, row.name), make('dd', {}, figure(row.key, ''))];
  }
  fill(document.getElementById(id), rows, ({ key, text, kind }) => set(key, text, kind));
}

const DELIVERIES = { accepted: 'Accepted', handled: 'Handled', failed_attempts: 'Failed attempts', failed: 'Failed',
  duplicates: 'Duplicates', replayed: 'Replayed', rejected_records: 'Journal records rejected', unauthorized: 'Unauthorized', malformed: 'Malformed',
  busy: 'Rejected, no capacity', store_failures: 'Rejected, store failed', in_progress: 'Rejected, in progress', undecoded: 'Payload not decoded', queued: 'Queued or being handled' };

function webhooks(stats) {
  if (!stats) {
    list('webhooks', [{ key: 'deliveries', name: 'Receiver', text: 'none', kind: 'quiet' }]);
    return;
  }
  list('webhooks', Object.entries(DELIVERIES).map(([key, name]) => ({ key: 'delivery ' + key, name, text: number(stats[key]) })));
}

function usage({ month, budgets, operations, is_complete }) {
  set('month-requests', number(month.requests));
  set('month-calls', number(month.calls));
  set('month-of', is_complete ? '' : ', of this process only: the store is unavailable');
  const rows = budgets.map((budget) => ({ key: budget.name, budget,
    make: () => make('div', { class: 'gauge', 'data-budget': budget.name },
      make('div', {}, make('span', {}, budget.name, make('span', { class: 'quiet' }, ' each ' + budget.period)), figure(`budget ${budget.name}`, '')),
      bar(budget.name), make('span', { class: 'quiet' }, figure(`forecast ${budget.name}`, ''))) }));
  if (rows.length === 0) rows.push(none('No budget is set.'));
  fill(document.getElementById('budgets'), rows, ({ key, budget }) => {
    if (key === '') return;
    const limit = budget.hard_limit ?? budget.soft_limit;
    const text = number(budget.used) + (limit ? ' of ' + number(limit) : '') + (budget.cost ? ' · ' + money(budget.cost) : '');
    set(`budget ${key}`, text);
    const cost = budget.forecast_cost ? ' · ' + money(budget.forecast_cost) : '';
    set(`forecast ${key}`, budget.forecast === null ? 'too early for a forecast' : `${number(budget.forecast)} expected by its end${cost}`);
    const kind = { ok: '', soft_limit_reached: 'warn', exhausted: 'bad' }[budget.state];
    const element = document.querySelector(`[data-budget="${CSS.escape(key)}"] .bar`);
    level(element, limit ? budget.used / limit : 0, kind, `${key}: ${text}`, limit && budget.forecast ? budget.forecast / limit : undefined);
  });
  const most = operations.map((operation) => ({ key: operation.operation, operation,
    make: () => make('tr', {}, make('th', { scope: 'row' }, operation.operation),
      ...['requests', 'calls', 'failed'].map((of) => make('td', {}, figure(`${of} ${operation.operation}`, '')))) }));
  fill(document.querySelector('#operations tbody'), most, ({ key, operation }) => {
    for (const of of ['requests', 'calls', 'failed']) set(`${of} ${key}`, number(operation[of]));
  });
}

// The latest entries are on top, and the oldest are removed.
function failed(calls, now) {
  const rows = calls.map((call) => make('tr', {}, make('td', {}, moment(call.time, now)), make('th', { scope: 'row' }, call.operation),
    make('td', {}, call.type), make('td', {}, time(call.seconds)), make('td', {}, call.request_id ?? '–'), make('td', {}, call.message)));
  const body = document.querySelector('#failed tbody');
  body.prepend(...rows);
  while (body.rows.length > 50) body.deleteRow(-1);
}

// ---- live ----

function connection(text, kind) {
  set('connection', text);
  document.getElementById('connection').className = 'quiet ' + kind;
  document.body.classList.toggle('stale', kind !== 'live');
}

// The whole state: the previous one might be of another process.
function start(update) {
  state.update = null;
  document.querySelector('#failed tbody').replaceChildren();
  begin(update.series);
  apply(update);
}

function tick(update) {
  extend(update.series);
  apply(update);
}

function apply(update) {
  state.update = { ...update, usage: update.usage ?? state.update?.usage };
  failed(update.failed, update.health.time);
  draw();
}

// A stream without an event for this long, in milliseconds, is not live and is reconnected.
const SILENT = 5_000;
const LOST = 15_000;
let source = null;

function connect() {
  source?.close();
  source = new EventSource(base + '/events');
  state.lastEvent = Date.now();
  const onEvent = (handle) => (event) => {
    state.lastEvent = Date.now();
    connection('live', 'live');
    handle(JSON.parse(event.data));
  };
  source.addEventListener('start', onEvent(start));
  source.addEventListener('tick', onEvent(tick));
  source.addEventListener('error', () => connection('connection lost, reconnecting', 'lost'));
}

// A browser stops after a response that is not a success, and does not detect that the server is gone.
function watch() {
  const silent = Date.now() - state.lastEvent;
  if (silent > SILENT) connection(`connection lost ${time(silent / 1000)} ago, reconnecting`, 'lost');
  if (silent > LOST || source.readyState === EventSource.CLOSED) connect();
}

connect();
setInterval(watch, SILENT);
