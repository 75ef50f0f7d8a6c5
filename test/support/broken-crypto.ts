/** WebCrypto whose `verify` fails with this error until the test is over, as no signature makes it fail. */
export function breakVerification(t: { teardown(undo: () => void): void }, failure: Error): void {
  const verify = { value: () => Promise.reject(failure), configurable: true };
  Object.defineProperty(crypto.subtle, 'verify', verify);
  t.teardown(() => void Reflect.deleteProperty(crypto.subtle, 'verify'));
}
