import { createCredentialRules } from '../../src/accounts/credential-rules.ts';
import type { LeakWatch } from '../../src/accounts/leak-watch.ts';
import { createLeakedPasswords } from '../../src/passwords/leaked-passwords.ts';
import { createWordList } from '../../src/passwords/word-list.ts';

/** Rules that refuse short passwords, and common ones if a test says which. No lists of leaked ones are asked. */
export function createLooseRules(isCommon: (text: string) => boolean = () => false) {
  const none = createWordList([]);
  const policy = { minLength: 8, serviceNames: none, blockedWords: none, isCommon };
  return createCredentialRules(policy, createLeakedPasswords(undefined));
}

/** Looks nothing up. */
export const idleLeakWatch: LeakWatch = { look: () => {}, close: async () => {} };
