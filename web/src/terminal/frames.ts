/** What an agent says of a terminal beside its bytes (agent/protocol/terminal-frames.ts). Unknown or malformed: null. */
export type TerminalFrame =
  | { type: 'connected'; offset: number; live: number; cols: number; rows: number }
  | { type: 'gap'; offset: number; bytes: number }
  | { type: 'resized'; cols: number; rows: number }
  | { type: 'exit'; exit_code: number | null; reason: string }
  | { type: 'pong' }

const numbers: Record<string, readonly string[]> = {
  connected: ['offset', 'live', 'cols', 'rows'],
  gap: ['offset', 'bytes'],
  resized: ['cols', 'rows'],
  exit: [],
  pong: [],
}

export function readFrame(text: string): TerminalFrame | null {
  try {
    const said = JSON.parse(text) as Record<string, unknown>
    const wanted = numbers[String(said.type)]
    if (!wanted?.every(name => Number.isSafeInteger(said[name]) && (said[name] as number) >= 0)) return null
    if (said.type !== 'exit') return said as TerminalFrame
    const { exit_code, reason } = said
    return {
      type: 'exit',
      exit_code: typeof exit_code === 'number' ? exit_code : null,
      reason: String(reason ?? '').slice(0, 500),
    }
  } catch {
    return null
  }
}
