/**
 * Follows the revocation feed of Doorward, and keeps HAProxy's maps of what is revoked: sessions.map, tokens.map,
 * users.map, clients.map and keys.map. HAProxy then refuses a signed-out user's token within two seconds.
 *
 *     node revocations-to-maps.js https://auth.example.com/revocations /etc/haproxy/revoked /run/haproxy/admin.sock
 *
 * Start it before HAProxy, which needs the files, and let a supervisor keep it running. It asks once a second, writes the
 * files, and then tells the HAProxy that runs, through its runtime API. While Doorward is away both go on with what they
 * have. With REVOCATIONS=clients, CLIENT_ID and CLIENT_SECRET are those of a service client.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';

const KINDS = ['sessions', 'tokens', 'users', 'clients', 'keys'];
const ASK_EVERY_MS = 1000;
const GIVE_UP_AFTER_MS = 5000;
const MOST_PATIENCE_MS = 60_000;
const MOST_BYTES = 64 * 1024 * 1024;
const MOST_PAGES = 100;
const MOST_WINDOW = 7 * 86_400;
/** An entry that stays for longer than its window does no harm: its tokens have expired. */
const FORGET_EVERY_MS = 60_000;
/** Doorward itself may be behind, when it has lost its database. */
const COMPLAIN_FROM_AGE = 10;
/** Lines in a command, which must fit into 16 KiB (tune.bufsize). */
const LINES = 400;

const [url, folder, socket] = process.argv.slice(2);
const { CLIENT_ID, CLIENT_SECRET } = process.env;

/**
 * The entries by kind: under a hash its value, and when it may be forgotten, by a clock that cannot be set. Null before the
 * first answer: HAProxy then keeps what it has read from the files.
 */
let held = null;
let cursor = null;
let forgetNextAt = performance.now() + FORGET_EVERY_MS;
/** The kinds whose files do not have all of `held` yet. */
const unwritten = new Set();
/** What HAProxy is to be told of next. */
let untold = [];
/** Until when there may be something that Doorward has left out. */
let lacksUntil = 0;
/** The process of HAProxy whose maps have all of `held` but that; null if there may be none. */
let toldPid = null;

if (socket === undefined) {
  process.stderr.write('usage: revocations-to-maps.js FEED-URL FOLDER RUNTIME-SOCKET\n');
  process.exit(1);
}
mkdirSync(folder, { recursive: true });
for (const kind of KINDS) if (!existsSync(fileOf(kind))) writeFileSync(fileOf(kind), '');
for (let known = []; ; ) {
  const failures = await round();
  known = complain(failures.map(inWords), known);
  await delay(Math.max(ASK_EVERY_MS, ...failures.map(({ pauseMs = 0 }) => pauseMs)));
}

/** Does each part, whatever became of the one before. @returns what went wrong */
async function round() {
  const failures = [];
  // The files come first, so that a HAProxy which starts now has everything, too.
  for (const part of [learn, writeMaps, tellHaproxy])
    try {
      await part();
    } catch (error) {
      failures.push(error);
    }
  return failures;
}

function inWords(error) {
  const { code, message } = error.cause ?? {};
  return code ?? message ?? error.message;
}

/** Says what is new. @returns what is known then */
function complain(complaints, known) {
  const news = complaints.filter((complaint) => !known.includes(complaint));
  if (complaints.length === 0 && known.length > 0) news.push('all is well again');
  for (const line of news) process.stderr.write(`revocations-to-maps: ${line}\n`);
  return complaints;
}

/** Asks once. @throws Error also if what came is not all that there should be */
async function learn() {
  const news = await readFeed();
  if (news.isWhole) forgetAll();
  untold = add(news.entries);
  cursor = news.cursor;
  lacksUntil = news.lacksUntil;
  forget();
  if (news.age > COMPLAIN_FROM_AGE)
    throw new Error(`what Doorward says is more than ${COMPLAIN_FROM_AGE} s old`);
  if (performance.now() < lacksUntil)
    throw new Error('Doorward has left out the oldest entries: it has more than it keeps');
}

/**
 * What came after the cursor, or everything. Parts are joined first, so that no half of a list replaces a whole one. After
 * an answer that is of no use, everything is asked for anew.
 */
async function readFeed() {
  let news = { cursor, lacksUntil, entries: [] };
  let bytesLeft = MOST_BYTES;
  for (let page = 0; page < MOST_PAGES; page += 1) {
    const answer = await fetchPart(news.cursor, bytesLeft);
    bytesLeft -= answer.body.length;
    try {
      news = joined(news, answer);
    } catch (error) {
      throw beginAnew(error.message);
    }
    if (!news.more) return news;
  }
  throw beginAnew('the feed has no end');
}

function beginAnew(reason) {
  cursor = null;
  return new Error(reason);
}

/** @throws Error or TypeError if the answer is not as it must be */
function joined(news, { body, cachedFor }) {
  const part = JSON.parse(body);
  if (typeof part.cursor !== 'string') throw new TypeError('the feed has something else for a cursor');
  const [entries, more, age] = [entriesOf(part), part.more === true, ageOf(part) + cachedFor];
  if (part.from === null) {
    const lacksUntil = part.overflow === true ? performance.now() + part.window * 1000 : 0;
    return { cursor: part.cursor, isWhole: true, lacksUntil, entries, more, age };
  }
  if (part.from !== news.cursor) throw new Error('the feed has answered another question');
  return { ...news, cursor: part.cursor, entries: news.entries.concat(entries), more, age };
}

async function fetchPart(after, mostBytes) {
  const address = after === null ? url : `${url}?after=${encodeURIComponent(after)}`;
  const headers = { accept: 'application/json', ...credentials() };
  const signal = AbortSignal.timeout(GIVE_UP_AFTER_MS);
  const response = await fetch(address, { headers, redirect: 'error', signal });
  // It cannot read the cursor.
  if (response.status === 400) cursor = null;
  if (!response.ok)
    throw Object.assign(new Error(`${url} answers ${response.status}`), { pauseMs: pauseAfter(response) });
  return { body: await bodyOf(response, mostBytes), cachedFor: seconds(response, 'age') };
}

async function bodyOf({ body }, mostBytes) {
  const pieces = [];
  let length = 0;
  for await (const piece of body ?? []) {
    length += piece.length;
    if (length > mostBytes) throw beginAnew('the feed is too long');
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

/**
 * What Retry-After asks for, within reason; a date would compare two clocks. With jitter, or all would come back at once,
 * but never earlier than asked.
 */
function pauseAfter(response) {
  return Math.min(seconds(response, 'retry-after') * 1000, MOST_PATIENCE_MS) * (1 + Math.random() / 4);
}

function seconds({ headers }, name) {
  return Math.max(Number(headers.get(name)) || 0, 0);
}

function credentials() {
  if (CLIENT_ID === undefined) return {};
  const pair = [CLIENT_ID, CLIENT_SECRET].map(encodeURIComponent).join(':');
  return { authorization: `Basic ${Buffer.from(pair).toString('base64')}` };
}

/** @throws TypeError if it is no part of a feed */
function entriesOf({ window, sessions, tokens, users, clients, keys }) {
  const expiresAt = performance.now() + number(window, MOST_WINDOW) * 1000;
  const entry = (kind, hash, value) => ({ kind, hash, value: number(value, 2 ** 32), expiresAt });
  if (!Array.isArray(keys)) throw new TypeError('the feed has something else for keys');
  return [
    ...hashesIn(sessions).map((hash) => entry('sessions', hash, 1)),
    ...hashesIn(tokens).map((hash) => entry('tokens', hash, 1)),
    ...users.map(([hash, leastVersion]) => entry('users', hashIn(hash), leastVersion)),
    ...clients.map(([hash, until]) => entry('clients', hashIn(hash), until)),
    ...keys.map((kid) => entry('keys', createHash('sha256').update(kid).digest('hex').slice(0, 16), 1)),
  ];
}

function ageOf({ age }) {
  if (!(typeof age === 'number' && age >= 0)) throw new TypeError('the feed has something else for an age');
  return age;
}

function number(value, most) {
  if (Number.isInteger(value) && value > 0 && value <= most) return value;
  throw new TypeError('the feed has something else for a number');
}

function hashIn(base64url) {
  const [hash, ...others] = hashesIn(base64url);
  if (hash === undefined || others.length > 0) throw new TypeError('the feed has something else for hashes');
  return hash;
}

function hashesIn(base64url) {
  const joined = Buffer.from(base64url, 'base64url');
  // Node leaves out letters that are none.
  if (joined.length % 8 > 0 || joined.toString('base64url') !== base64url)
    throw new TypeError('the feed has something else for hashes');
  return joined.toString('hex').match(/.{16}/g) ?? [];
}

function nothing() {
  return Object.fromEntries(KINDS.map((kind) => [kind, new Map()]));
}

/** The files and HAProxy keep what was revoked before, until all that came in its place is there. */
function forgetAll() {
  held = nothing();
  toldPid = null;
  for (const kind of KINDS) unwritten.add(kind);
}

/** @returns what has changed, each with the value of before, if there was one */
function add(entries) {
  return entries.map(({ kind, hash, value, expiresAt }) => {
    const before = held[kind].get(hash)?.value;
    const entry = { value: Math.max(value, before ?? 0), expiresAt };
    held[kind].set(hash, entry);
    if (entry.value !== before) unwritten.add(kind);
    return { kind, hash, before, value: entry.value };
  });
}

/** HAProxy then has more entries than are held, and is told everything. */
function forget() {
  const now = performance.now();
  if (now < forgetNextAt) return;
  forgetNextAt = now + FORGET_EVERY_MS;
  for (const kind of KINDS)
    for (const [hash, { expiresAt }] of held[kind])
      if (expiresAt <= now) {
        held[kind].delete(hash);
        unwritten.add(kind);
      }
}

/** @throws Error if a file could not be written: it stays as it was until the next time */
function writeMaps() {
  let failure = null;
  for (const kind of unwritten)
    try {
      writeMap(kind);
      unwritten.delete(kind);
    } catch (error) {
      failure = error;
    }
  if (failure !== null) throw new Error(`${folder} cannot be written: ${failure.code ?? failure.message}`);
}

/** HAProxy, or a machine that starts again, reads the old file or the new one, and never a half of it. */
function writeMap(kind) {
  writeFileSync(`${fileOf(kind)}.new`, linesOf(kind).join(''), { flush: true });
  renameSync(`${fileOf(kind)}.new`, fileOf(kind));
}

function fileOf(kind) {
  return join(folder, `${kind}.map`);
}

function linesOf(kind) {
  return [...held[kind]].map(([hash, { value }]) => `${hash} ${value}\n`);
}

/** After a failure, everything is told anew. */
async function tellHaproxy() {
  if (held === null) return;
  const pid = toldPid;
  toldPid = null;
  const changes = untold;
  untold = [];
  if (pid !== null) await tellChanges(changes);
  if (await isTold(pid)) toldPid = pid;
  else await tellAll();
}

async function tellChanges(changes) {
  for (const kind of KINDS) {
    const ofKind = changes.filter((change) => change.kind === kind);
    const isNew = ({ before }) => before === undefined;
    await addLines(
      fileOf(kind),
      ofKind.filter(isNew).map(({ hash, value }) => `${hash} ${value}\n`),
    );
    for (const { hash, before, value } of ofKind)
      if (before !== undefined && before !== value) await tell(`set map ${fileOf(kind)} ${hash} ${value}`);
  }
}

/** Whether the process that runs is the one that was filled, and still has as many entries as are held. */
async function isTold(filledPid) {
  const { pid, counts } = await askHaproxy();
  return pid === filledPid && KINDS.every((kind) => counts.get(fileOf(kind)) === held[kind].size);
}

/** Each map changes in one moment from what HAProxy has to what is held: an ended session never passes in between. */
async function tellAll() {
  const { pid } = await askHaproxy();
  for (const kind of KINDS) {
    const answer = await ask(`prepare map ${fileOf(kind)}`);
    const [, version] = /version created: (\d+)/.exec(answer) ?? [];
    if (version === undefined) throw new Error(`HAProxy: ${answer.trim()}`);
    await addLines(`@${version} ${fileOf(kind)}`, linesOf(kind));
    await tell(`commit map @${version} ${fileOf(kind)}`);
  }
  toldPid = pid;
}

async function addLines(map, lines) {
  for (let at = 0; at < lines.length; at += LINES)
    await tell(`add map ${map} <<\n${lines.slice(at, at + LINES).join('')}`);
}

async function askHaproxy() {
  const answer = await ask('show info;show map');
  const counts = [...answer.matchAll(/^\S+ \((.*?)\) .* entry_cnt=(\d+)$/gm)];
  return {
    pid: /^Pid: (\d+)$/m.exec(answer)?.[1],
    counts: new Map(counts.map(([, file, count]) => [file, Number(count)])),
  };
}

/** A command that has nothing to answer. @throws Error with what HAProxy says all the same */
async function tell(command) {
  const complaint = (await ask(command)).trim();
  if (complaint !== '') throw new Error(`HAProxy: ${complaint}`);
}

function ask(command) {
  const connection = connect(socket);
  connection.setTimeout(GIVE_UP_AFTER_MS, () => connection.destroy(new Error('HAProxy does not answer')));
  connection.write(`${command}\n`);
  return text(connection);
}
