/** Load this before the server (`node --import`): it replaces the product's hashing with `semaphore-hash.ts`. */
import { registerHooks } from 'node:module';

registerHooks({
  resolve: (specifier, context, next) =>
    // The replacement imports the limits of the original.
    specifier.endsWith('/password-hash.ts') && !context.parentURL?.endsWith('/semaphore-hash.ts')
      ? { url: new URL('./semaphore-hash.ts', import.meta.url).href, shortCircuit: true }
      : next(specifier, context),
});
