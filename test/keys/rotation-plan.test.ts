import fc from 'fast-check';
import { test } from 'tap';
import {
  type KeyTimes,
  keyStatus,
  nextActivationAt,
  nextKeySetChangeAt,
  planRotation,
  type RotationPlan,
  type RotationPolicy,
  statusSince,
} from '../../src/keys/rotation-plan.ts';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const policy: RotationPolicy = { algorithm: 'ES256', rotateEveryMs: 30 * DAY, publishAheadMs: 15 * MINUTE };
const RETAIN = 45 * MINUTE;
const NOTHING: RotationPlan = { publish: null, activate: null, retire: null, delete: [] };

function key(kid: string, times: Partial<KeyTimes> = {}): KeyTimes {
  const never = { activatedAt: null, retiredAt: null, revokedAt: null, deleteAfter: null };
  return { kid, algorithm: 'ES256', publishedAt: 0, ...never, ...times };
}

test('the next key signs a rotation after the active one, or as soon as it has been public for long enough', (t) => {
  const active = key('a', { activatedAt: DAY });
  t.equal(nextActivationAt([active], policy), 31 * DAY);
  t.equal(nextActivationAt([active, key('b', { publishedAt: 5 * DAY })], policy), 5 * DAY + 15 * MINUTE);
  const other = { ...policy, algorithm: 'EdDSA' };
  t.equal(nextActivationAt([active], other), DAY + 15 * MINUTE, 'a change of the algorithm is due at once');
  t.equal(nextActivationAt([key('b')], policy), null);
  t.end();
});

test('a key has its status since the last thing that happened to it', (t) => {
  const times = { activatedAt: 2, retiredAt: 3, revokedAt: 4 };
  t.equal(statusSince(key('a', { publishedAt: 1 })), 1);
  t.equal(statusSince(key('a', { publishedAt: 1, activatedAt: 2 })), 2);
  t.equal(statusSince(key('a', { ...times, revokedAt: null })), 3);
  t.equal(statusSince(key('a', times)), 4);
  t.end();
});

test('a first key signs at once', (t) => {
  t.same(planRotation([], 0, policy), { ...NOTHING, publish: 'active' });
  t.end();
});

test('nothing is due while the active key is young', (t) => {
  t.same(planRotation([key('a', { activatedAt: 0 })], 29 * DAY, policy), NOTHING);
  t.end();
});

test('the next key is published ahead of its first signature, and not twice', (t) => {
  const active = key('a', { activatedAt: 0 });
  const due = 30 * DAY - 15 * MINUTE;
  t.same(planRotation([active], due - 1, policy), NOTHING);
  t.same(planRotation([active], due, policy), { ...NOTHING, publish: 'pending' });
  t.same(planRotation([active, key('b', { publishedAt: due })], due + 1, policy), NOTHING);
  t.end();
});

test('a pending key takes over when verifiers have had time to fetch it', (t) => {
  const keys = [key('a', { activatedAt: 0 }), key('b', { publishedAt: 30 * DAY })];
  t.same(planRotation(keys, 30 * DAY + 15 * MINUTE - 1, policy), NOTHING);
  t.same(planRotation(keys, 30 * DAY + 15 * MINUTE, policy), { ...NOTHING, activate: 'b', retire: 'a' });
  t.end();
});

test('a rotation that is overdue still publishes first', (t) => {
  t.same(planRotation([key('a', { activatedAt: 0 })], 400 * DAY, policy), { ...NOTHING, publish: 'pending' });
  t.end();
});

test('a changed algorithm is a rotation that does not wait for the old key to age', (t) => {
  const other = { ...policy, algorithm: 'EdDSA' };
  const active = key('a', { activatedAt: 0 });
  t.same(planRotation([active], 1, other), { ...NOTHING, publish: 'pending' });
  t.same(planRotation([active, key('b', { publishedAt: 1, algorithm: 'EdDSA' })], 2, other), NOTHING);
  t.end();
});

test('without an active key the pending one signs at once, however young', (t) => {
  const keys = [key('a', { activatedAt: 0, revokedAt: 5 }), key('b', { publishedAt: 4 })];
  t.same(planRotation(keys, 5, policy), { ...NOTHING, activate: 'b' });
  t.same(planRotation(keys.slice(0, 1), 5, policy), { ...NOTHING, publish: 'active' });
  t.end();
});

test('a retired key is deleted when its time has come, a revoked one stays', (t) => {
  const retired = { activatedAt: 0, retiredAt: 10, deleteAfter: 10 + RETAIN };
  const keys = [key('a', retired), key('b', { ...retired, revokedAt: 11 }), key('c', { activatedAt: 10 })];
  t.same(planRotation(keys, 10 + RETAIN - 1, policy), NOTHING);
  t.same(planRotation(keys, 10 + RETAIN, policy), { ...NOTHING, delete: ['a'] });
  t.end();
});

/** What can happen to the keys between two looks at them. */
type Event =
  | { kind: 'wait'; ms: number }
  | { kind: 'plan'; steps: number }
  | { kind: 'algorithm'; algorithm: string }
  | { kind: 'revoke active' }
  | { kind: 'publish early' };

const wait = fc.oneof(fc.nat(30 * MINUTE), fc.nat(40 * DAY)).map((ms): Event => ({ kind: 'wait', ms }));
/** A plan: the process dies after its first `steps` parts. */
const plan = fc.oneof(fc.constant(9), fc.nat(3)).map((steps): Event => ({ kind: 'plan', steps }));
const algorithm = fc
  .constantFrom('ES256', 'EdDSA', 'RS256')
  .map((name): Event => ({ kind: 'algorithm', algorithm: name }));
const command = fc.constantFrom<Event>({ kind: 'revoke active' }, { kind: 'publish early' });
const history = fc.array(
  fc.oneof({ arbitrary: plan, weight: 5 }, { arbitrary: wait, weight: 5 }, algorithm, command),
  { maxLength: 80 },
);

/** The keys of one server through a history; each change is checked against the promises. */
class Simulation {
  keys: KeyTimes[] = [];
  now = 0;
  policy = policy;
  made = 0;

  happen(event: Event): void {
    if (event.kind === 'wait') this.now += event.ms;
    else if (event.kind === 'algorithm') this.policy = { ...policy, algorithm: event.algorithm };
    else if (event.kind === 'publish early') this.publishEarly();
    else if (event.kind === 'revoke active') this.revokeActive();
    else this.carryOut(event.steps);
  }

  active(): KeyTimes[] {
    return this.keys.filter((each) => keyStatus(each) === 'active');
  }

  publish(): KeyTimes {
    this.made += 1;
    const fresh = key(`k${this.made}`, { publishedAt: this.now, algorithm: this.policy.algorithm });
    this.keys.push(fresh);
    return fresh;
  }

  /** As the command does: one key waits at most. */
  publishEarly(): void {
    if (!this.keys.some((each) => keyStatus(each) === 'pending')) this.publish();
  }

  revokeActive(): void {
    for (const each of this.active()) each.revokedAt = this.now;
  }

  /** The three transactions that a plan may be: each happens in whole or not at all. */
  carryOut(steps: number): void {
    const due = planRotation(this.keys, this.now, this.policy);
    const parts = [
      () => this.carryOutPublish(due),
      () => this.carryOutActivate(due),
      () => this.carryOutDelete(due),
    ];
    for (const part of parts.slice(0, steps)) part();
  }

  carryOutPublish(due: RotationPlan): void {
    if (due.publish === null) return;
    const fresh = this.publish();
    if (due.publish === 'active') this.activate(fresh, null);
  }

  carryOutActivate(due: RotationPlan): void {
    if (due.activate !== null) this.activate(this.find(due.activate), due.retire);
  }

  carryOutDelete(due: RotationPlan): void {
    for (const kid of due.delete) {
      const old = this.find(kid);
      const lastSignature = old.retiredAt ?? Number.POSITIVE_INFINITY;
      assert(this.now >= lastSignature + RETAIN, `${kid} is deleted while a token could live`);
      this.keys.splice(this.keys.indexOf(old), 1);
    }
  }

  activate(next: KeyTimes, retire: string | null): void {
    const nobodySigned = this.active().length === 0;
    const age = this.now - next.publishedAt;
    assert(nobodySigned || age >= this.policy.publishAheadMs, `${next.kid} signs too early`);
    if (retire !== null)
      Object.assign(this.find(retire), { retiredAt: this.now, deleteAfter: this.now + RETAIN });
    next.activatedAt = this.now;
    assert(this.active().length === 1, 'there is exactly one active key');
  }

  find(kid: string): KeyTimes {
    const found = this.keys.find((each) => each.kid === kid);
    if (found === undefined) throw new Error(`the plan names ${kid}, which is not there`);
    return found;
  }
}

function assert(condition: boolean, message: string): void {
  if (!condition) throw new Error(message);
}

test('in any history one key at most is active, none signs too early, none is deleted too soon', (t) => {
  fc.assert(
    fc.property(history, (events) => {
      const simulation = new Simulation();
      for (const event of events) simulation.happen(event);
      // After any history, and after a process died at any point, one complete plan repairs the keys.
      simulation.carryOut(9);
      assert(simulation.active().length === 1, 'one key is active');
      const after = planRotation(simulation.keys, simulation.now, simulation.policy);
      assert(after.activate === null && after.delete.length === 0, 'nothing is left to do but to publish');
    }),
    { numRuns: 2_000 },
  );
  t.end();
});

test('the key set shows nothing new before the time that was announced', (t) => {
  fc.assert(
    fc.property(history, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (events, share) => {
      const simulation = new Simulation();
      for (const event of events) simulation.happen(event);
      simulation.carryOut(9);
      simulation.carryOut(9);
      const change = nextKeySetChangeAt(simulation.keys, simulation.policy);
      const until = Math.min(change, simulation.now + 60 * DAY);
      assert(until >= simulation.now, 'nothing is overdue');
      const before = simulation.now + Math.floor((until - simulation.now) * share);
      if (before === until) return;
      const { publish, delete: gone } = planRotation(simulation.keys, before, simulation.policy);
      assert(publish === null && gone.length === 0, 'no key comes or goes');
    }),
    { numRuns: 2_000 },
  );
  t.end();
});

/** The kids in the key set. */
function shown({ keys }: Simulation): string {
  return keys.flatMap((each) => (keyStatus(each) === 'revoked' ? [] : each.kid)).join();
}

test('the key set stays as it is until the announced time, whatever the looks in between do', (t) => {
  const shares = fc.array(fc.nat(999), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(history, shares, (events, looks) => {
      const simulation = new Simulation();
      for (const event of events) simulation.happen(event);
      simulation.carryOut(9);
      simulation.carryOut(9);
      const start = simulation.now;
      // As long as verifiers keep a key set, and one look at the end.
      const change = nextKeySetChangeAt(simulation.keys, simulation.policy);
      const until = Math.min(change, start + 20 * MINUTE);
      const before = shown(simulation);
      for (const look of looks.toSorted((a, b) => a - b)) {
        simulation.now = start + Math.floor(((until - start) * look) / 1000);
        if (simulation.now >= change) break;
        for (let i = 0; i < 3; i++) simulation.carryOut(9);
        assert(shown(simulation) === before, 'no key comes or goes');
      }
    }),
    { numRuns: 5_000 },
  );
  t.end();
});

test('the key that follows the pending one is announced with it when it will be due at once', (t) => {
  const other = { ...policy, algorithm: 'EdDSA' };
  const keys = [key('a', { activatedAt: 0 }), key('b', { publishedAt: DAY })];
  t.equal(nextKeySetChangeAt(keys, other), DAY + 15 * MINUTE);
  t.equal(nextKeySetChangeAt(keys, policy), DAY + 30 * DAY);
  t.end();
});

test('a retired key whose end nobody wrote down is never deleted, and announces nothing', (t) => {
  const keys = [key('a', { activatedAt: 0, retiredAt: 1 }), key('b', { activatedAt: 1 })];
  t.same(planRotation(keys, DAY, policy), NOTHING);
  t.equal(nextKeySetChangeAt(keys, policy), 1 + 30 * DAY - 15 * MINUTE);
  t.end();
});

test('a key set in which no key signs is to be kept by nobody', (t) => {
  t.ok(nextKeySetChangeAt([], policy) <= 0);
  t.ok(nextKeySetChangeAt([key('a', { activatedAt: 0, revokedAt: 5 })], policy) <= 0);
  t.end();
});
