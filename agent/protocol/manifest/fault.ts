/** Where in a manifest something is wrong, and what. */
export type Path = readonly (string | number)[]

export interface Fault {
  /** JSON pointer: number of the document, then the way inside it. `/1/spec/template/spec/hostNetwork` */
  pointer: string
  detail: string
  /** Line of the text, from 1, where known. */
  line?: number
}

export function pointerOf(path: Path): string {
  return path.map(step => `/${String(step).slice(0, 100).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
}
