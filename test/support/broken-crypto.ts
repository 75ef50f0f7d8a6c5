/** Makes WebCrypto's `verify` fail with this error until the test ends. No signature makes it fail like that. */
export function breakVerification(t: { teardown(undo: () => void): void }, failure: Error): void {
  const verify = { value: () => Promise.reject(failure), configurable: true };
  Object.defineProperty(crypto.subtle, 'verify', verify);
  t.teardown(() => void Reflect.deleteProperty(crypto.subtle, 'verify'));
}
