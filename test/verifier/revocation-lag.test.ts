import { test } from 'tap';
import { createLag, openingOf } from '../../src/verifier/revocation-lag.ts';

const minute = 60_000;
const hour = 60 * minute;

/** A server whose clock is right, and this host's, which a test may set. */
function setUp() {
  let [server, wall, steady] = [1_800_000_000_000, 1_800_000_000_000, 500];
  return {
    ...createLag({ now: () => wall, steadyNow: () => steady }),
    pass: (ms: number) => {
      server += ms;
      wall += ms;
      steady += ms;
    },
    /** Somebody sets the clock of this host. */
    setClock: (ms: number) => {
      wall += ms;
    },
    open: (headers: Record<string, string> = {}) => openingOf(new Headers(headers), steady, wall),
    /** What the server knows now, or what it knew then. */
    known: (agoMs = 0, ageMs = 0) => ({ asOfMs: server - agoMs - ageMs, ageMs }),
    /** The `Date` of an answer that is made now. */
    dated: () => ({ date: new Date(server).toUTCString() }),
  };
}

test('is infinite until something is known', (t) => {
  t.equal(setUp().ms(), Number.POSITIVE_INFINITY);
  t.end();
});

test('a document is as old as its request, its age, and its time in a cache', (t) => {
  const { open, pass, restart, known, ms } = setUp();
  const opening = open();
  const answer = known(0, 200);
  pass(300);
  restart(opening, answer, 0);
  t.equal(ms(), 500);
  pass(1000);
  t.equal(ms(), 1500);
  const cached = open({ age: '3' });
  pass(100);
  restart(cached, known(3600, 10), 0);
  t.equal(ms(), 100 + 10 + 4000, 'Age may be almost a second more than it says');
  for (const age of ['old', '-60']) {
    restart(open({ age }), known(), 0);
    t.equal(ms(), 1000, 'nothing makes it newer than it says');
  }
  t.end();
});

test('an event is as old as its place in the stream says, however late it comes', (t) => {
  const { open, pass, restart, advance, known, ms } = setUp();
  const opening = open();
  restart(opening, known(), 0);
  pass(1000);
  advance(opening, known(0, 100));
  t.equal(ms(), 100);
  pass(1000);
  const heldBack = known(0, 100);
  pass(5000);
  advance(opening, heldBack);
  t.equal(ms(), 5100);
  advance(opening, known(0, 300));
  t.equal(ms(), 300, 'the next one, in time');
  t.end();
});

test('an event is never younger than its own age says', (t) => {
  const { open, pass, restart, advance, known, ms } = setUp();
  const opening = open();
  restart(opening, known(), 0);
  pass(1000);
  advance(opening, { asOfMs: known().asOfMs + hour, ageMs: 400 });
  t.equal(ms(), 400);
  t.end();
});

test('what is older than what is known changes nothing, unless it replaces it', (t) => {
  const { open, restart, advance, known, ms } = setUp();
  restart(open(), known(), 0);
  advance(open(), known(0, 5000));
  t.equal(ms(), 0);
  restart(open(), known(0, 7000), 0);
  t.equal(ms(), 7000);
  t.end();
});

test('what has been seen before is not new: a cache may not say that it is one', (t) => {
  const { open, pass, restart, advance, known, ms } = setUp();
  const cached = known();
  restart(open(), cached, 0);
  for (let second = 0; second < 20; second += 1) {
    pass(1000);
    advance(open(), cached);
  }
  t.equal(ms(), 20_000);
  advance(open(), known(0, 50));
  t.equal(ms(), 50);
  t.end();
});

test('what is more than 90 s behind the time of day is old, however fast it comes', (t) => {
  const { open, restart, known, ms, dated } = setUp();
  restart(open(), known(90_000), 0);
  t.equal(ms(), 0);
  restart(open(), known(90_001), 0);
  t.equal(ms(), 90_001, 'by the clock of this host');
  restart(open(dated()), known(hour), 0);
  t.equal(ms(), hour, 'by both');
  t.end();
});

test('a host whose clock is an hour off, either way, is up to date all the same', (t) => {
  for (const offset of [hour, -hour]) {
    const { open, pass, restart, advance, known, ms, dated, setClock } = setUp();
    setClock(offset);
    const opening = open(dated());
    restart(opening, known(), 0);
    t.equal(ms(), 0);
    pass(1000);
    advance(opening, known());
    t.equal(ms(), 0);
    restart(open(dated()), known(hour), 0);
    t.equal(ms(), hour, 'and notices by the Date of the answer what is old');
    restart(open({ date: 'soon' }), known(), 0);
    t.equal(ms(), Math.max(offset, 0), 'without a Date, its own clock is all that there is');
  }
  t.end();
});

test('an answer from an honest cache is measured against the time when it was made', (t) => {
  const { open, pass, restart, known, ms, dated, setClock } = setUp();
  setClock(hour);
  const [answer, headers] = [known(), dated()];
  pass(2 * minute);
  restart(open({ ...headers, age: '120' }), answer, 0);
  t.equal(ms(), 121_000);
  t.end();
});

test('after a sleep of the whole machine nothing counts as known', (t) => {
  const { open, restart, known, ms, setClock } = setUp();
  restart(open(), known(), 0);
  // The steady clock of Linux sleeps as well.
  setClock(10 * minute);
  t.equal(ms(), 10 * minute);
  t.end();
});

test('an event from the future shows that the clock of the server was set', (t) => {
  const { open, pass, restart, known, isFromFuture } = setUp();
  const opening = open();
  restart(opening, known(), 0);
  pass(1000);
  const { asOfMs } = known();
  t.strictSame(
    [0, 2000, 2001].map((ms) => isFromFuture(opening, { asOfMs: asOfMs + ms, ageMs: 0 })),
    [false, false, true],
  );
  t.end();
});

test('if a part is missing, nothing counts as known until tokens that it is about have expired', (t) => {
  const { open, pass, restart, advance, known, ms } = setUp();
  restart(open(), known(), 100_000);
  pass(99_999);
  advance(open(), known());
  t.equal(ms(), Number.POSITIVE_INFINITY);
  pass(1);
  t.equal(ms(), 1);
  restart(open(), known(), 100_000);
  restart(open(), known(), 0);
  t.equal(ms(), 0, 'or until all of it comes');
  t.end();
});
