/** `@doorward/verifier`: checks access tokens, and who may pass which door, without a framework. */
export type { TokenType } from './check-token.ts';
export type { ClientCredentials } from './client-credentials.ts';
export type { Door, DoorKind, DoorRule } from './door-rules.ts';
export {
  createDoors,
  type DoorRequest,
  type Doors,
  type DoorsOptions,
  type Passed,
} from './doors.ts';
export type { RevocationsResetReason, VerifierHooks, WarningLogger } from './hooks.ts';
export {
  createIntrospection,
  type Introspection,
  type IntrospectionAnswer,
  type IntrospectionOptions,
} from './introspection.ts';
export type { Refusal } from './refusal.ts';
export { SetupError } from './setup-error.ts';
export type { TokenClaims } from './token-claims.ts';
export { userOf } from './user-of.ts';
export { createVerifier, type Verifier } from './verifier.ts';
export { VerifierError, type VerifierErrorCode } from './verifier-error.ts';
export type { RevocationMode, VerifierOptions } from './verifier-settings.ts';
