import Type, { type Static } from 'typebox';
import type { LaneSettings } from '../outbox/outbox-lane.ts';
import { IN_BACKGROUND, MailWish } from './background-lane.ts';

/** A sign-up whose address must be verified before it counts. */
export const SignUp = Type.Object({
  /** Of the account, if one is made. */
  id: Type.String(),
  /** Canonical. */
  email: Type.String(),
  emailAsTyped: Type.String(),
  passwordHash: Type.String(),
  /** SHA-256 of the browser's secret, in hexadecimal. */
  browserHash: Type.String(),
  device: Type.Object({
    ip: Type.String(),
    userAgent: Type.Union([Type.String(), Type.Null()]),
    requestId: Type.Optional(Type.String()),
  }),
  /** The `Accept-Language` of the request. */
  languages: Type.Union([Type.String(), Type.Null()]),
});

export type SignUp = Static<typeof SignUp>;

/** The lane of sign-ups. @param take does what one of them asks for */
export function signUpLane(take: (signUp: SignUp) => Promise<void>): LaneSettings<typeof SignUp> {
  return { ...IN_BACKGROUND, kind: 'sign_up', payload: SignUp, deliver: take };
}

/** The lane of wishes for another mail. @param take does what one of them asks for */
export function verificationLane(take: (wish: MailWish) => Promise<void>): LaneSettings<typeof MailWish> {
  return { ...IN_BACKGROUND, kind: 'verification', payload: MailWish, deliver: take };
}
