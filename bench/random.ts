import { randomExponential, randomGeometric, randomLogNormal, randomUniform } from 'd3-random';
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';

/** Draws one value. */
export type Draw = () => number;

export type Random = ReturnType<typeof createRandom>;

/** Distributions that draw from one generator: the same seed gives the same values in the same order. */
export function createRandom(seed: number) {
  const generator = xoroshiro128plus(seed);
  const uniform = () => uniformFloat64(generator);
  const [exponential, geometric] = [randomExponential.source(uniform), randomGeometric.source(uniform)];
  const logNormal = randomLogNormal.source(uniform);

  return {
    /** From 0 to 1, without 1. */
    uniform,
    between: randomUniform.source(uniform),
    /** @param mean of the values */
    exponential: (mean: number): Draw => exponential(1 / mean),
    /** Whole numbers from 1. @param mean of the values, at least 1 */
    geometric: (mean: number): Draw => geometric(1 / mean),
    /**
     * @param mean of the values, not of their logarithms
     * @param sigma standard deviation of the logarithms; 0 gives the mean each time
     */
    logNormal: (mean: number, sigma: number): Draw => logNormal(Math.log(mean) - sigma ** 2 / 2, sigma),
  };
}
