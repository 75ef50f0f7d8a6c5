import { type ChannelListener, channel, subscribe, unsubscribe } from 'node:diagnostics_channel';
import { AppError, type ErrorCode } from './errors.ts';

/** What became of a look-up of a session. */
export type LookUpResult =
  /** The cache had a fresh copy. */
  | 'hit'
  /** The cache knew that there is no such session. */
  | 'absent'
  /** The cache had an older copy, and the database confirmed it. */
  | 'renewed'
  /** The cache had an older copy, and it was used because the database does not answer. */
  | 'stale'
  /** Only the database had it. */
  | 'miss'
  /** The database had no such session. */
  | 'unknown'
  /** The limit on misses refused it. */
  | 'refused'
  /** Neither cache nor database answered. */
  | 'error';

/** How a piece of work ended: `ok`, or the code of its error. */
export type Outcome = 'ok' | ErrorCode;

/** What asking for a leaked password came to. `failed`: no answer in time, or none that can be used. */
export type LeakLookUpOutcome = 'leaked' | 'not_found' | 'failed';

type Messages = {
  /** An answered request. `route` is its pattern, undefined if there is no such route; `traceId` is there if it is traced. */
  request: {
    method: string;
    route: string | undefined;
    status: number;
    durationMs: number;
    traceId: string | undefined;
  };
  /** What was refused before any route was looked for: bytes that are not HTTP, that came too slowly, or a bad URL. */
  unreadableRequest: { status: number };
  sessionLookUp: { result: LookUpResult };
  /** A circuit breaker that has changed. While it is open, no request waits for that part. */
  breaker: { part: BreakerPart; isOpen: boolean };
  /** A password that was hashed or compared. The time includes the wait for a thread. */
  passwordHash: { durationMs: number };
  /** A password that was not hashed, because the queue is full. */
  passwordRefused: object;
  /** A password that was looked up in the lists of leaked ones. */
  leakLookUp: { outcome: LeakLookUpOutcome };
  signUp: { outcome: Outcome };
  signIn: { outcome: Outcome };
  /** An access token that was given out. `reused`: the session got the one of its last call again. */
  token: { kind: 'access' | 'single_use' | 'client' | 'reused' };
  /**
   * A request that a limit refused: on addresses that send passwords, on look-ups of unknown cookies, on guesses, on
   * addresses that ask for revocations, on streams of them, or on addresses that call `/admin`.
   */
  limitReached: { limit: 'credentials' | 'misses' | 'guesses' | 'revocations' | 'streams' | 'admin' };
  /** Events of the audit that were not written: too many at once, or the database did not take them. */
  eventsLost: { count: number };
  /** An attempt to deliver a message. */
  delivery: {
    kind: string;
    /** `failed` is tried again, `dead` is not. */
    outcome: 'delivered' | 'failed' | 'dead';
    attempts: number;
    /** How long this attempt took. */
    durationMs: number;
    /** From the writing of the message to the beginning of this attempt. */
    ageMs: number;
  };
};

export type BreakerPart = 'database' | 'redis';
export type DeliveryEvent = Messages['delivery'];

/** A channel of `node:diagnostics_channel`, and what is published on it. */
export type FactChannel<Message> = {
  readonly name: string | symbol;
  /** Look at this first: without subscribers, a fact costs no more than this look. */
  readonly hasSubscribers: boolean;
  publish(message: Message): void;
};

function factChannel<Name extends keyof Messages>(name: string): FactChannel<Messages[Name]> {
  return channel(name);
}

/**
 * What the rooms tell about their work, for metrics: each channel with its message. A message never holds a secret, an
 * e-mail address, an id of a user, or anything else that a client chose.
 */
export const channels = {
  request: factChannel<'request'>('doorward:http:request'),
  unreadableRequest: factChannel<'unreadableRequest'>('doorward:http:unreadable-request'),
  sessionLookUp: factChannel<'sessionLookUp'>('doorward:session:look-up'),
  breaker: factChannel<'breaker'>('doorward:breaker'),
  passwordHash: factChannel<'passwordHash'>('doorward:password:hash'),
  passwordRefused: factChannel<'passwordRefused'>('doorward:password:refused'),
  leakLookUp: factChannel<'leakLookUp'>('doorward:password:leak-look-up'),
  signUp: factChannel<'signUp'>('doorward:account:sign-up'),
  signIn: factChannel<'signIn'>('doorward:account:sign-in'),
  token: factChannel<'token'>('doorward:token'),
  limitReached: factChannel<'limitReached'>('doorward:limit-reached'),
  eventsLost: factChannel<'eventsLost'>('doorward:audit:events-lost'),
  delivery: factChannel<'delivery'>('doorward:outbox:delivery'),
} satisfies { [Name in keyof Messages]: FactChannel<Messages[Name]> };

/** Publishes a fact, if there is a subscriber. For work that is rare: elsewhere, look before making the message. */
export function tell<Message>(to: FactChannel<Message>, message: Message): void {
  if (to.hasSubscribers) to.publish(message);
}

/** Does the work and publishes how it ended. @throws what `work` throws */
export async function tellOutcome<T>(
  to: FactChannel<{ outcome: Outcome }>,
  work: () => Promise<T>,
): Promise<T> {
  try {
    const result = await work();
    tell(to, { outcome: 'ok' });
    return result;
  } catch (error) {
    tell(to, { outcome: outcomeOf(error) });
    throw error;
  }
}

/** The outcome of work that failed. */
export function outcomeOf(error: unknown): ErrorCode {
  return error instanceof AppError ? error.code : 'internal_error';
}

/**
 * Calls `listener` for each fact, in the publisher's own turn.
 * @returns a function that ends this
 */
export function listenTo<Message>(
  to: FactChannel<Message>,
  listener: (message: Message) => void,
): () => void {
  const onMessage: ChannelListener = (message) => listener(message as Message);
  subscribe(to.name, onMessage);
  return () => void unsubscribe(to.name, onMessage);
}
