/** A repository as people name it: without scheme, login and `.git`. */
export function shortRepository(url: string): string {
  return url
    .replace(/^[a-z+]+:\/\//i, '')
    .replace(/^[^@/]*@/, '')
    .replace(/\.git$/, '')
}
