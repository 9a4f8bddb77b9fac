/** What a suite is told. */
export interface Options {
  rounds: number
  /** 1: as documented; smaller: the same in less time and with more noise. */
  scale: number
  say: (line: string) => void
}
