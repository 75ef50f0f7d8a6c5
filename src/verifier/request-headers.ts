/** The part of a `node:http` request that the doors read. */
export type HeaderSource = {
  /** Name, value, name, value… as they were sent. `headers` keeps only the first of two `Authorization`. */
  rawHeaders: string[];
};

/** All values of a header, in order. @param name in lower case */
export function headerValues({ rawHeaders }: HeaderSource, name: string): string[] {
  return rawHeaders.filter(
    (_value, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === name,
  );
}
