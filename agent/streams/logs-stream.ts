/** `logs`: bytes of a session's programs, one way, ended by 1000. Taken from the runtime no faster than the viewer takes them. */
import { frameSize, type Gauge, highWater, lowWater } from './flow.ts'
import { endOfError, type RelayContext } from './relay.ts'
import { ended, endOfClose, type StreamEnd } from './stream-end.ts'

export async function relayLogs(context: RelayContext, lines: AsyncIterator<Uint8Array>): Promise<StreamEnd> {
  const { ws, signal, bytes, watch } = context
  let wake = () => {}
  const gauge: Gauge = { delivered: 0, pending: () => ws.bufferedAmount }
  watch(gauge)

  const cut = new Promise<StreamEnd>(resolve => {
    if (signal.aborted) resolve(signal.reason as StreamEnd)
    signal.addEventListener('abort', () => resolve(signal.reason as StreamEnd), { once: true })
    ws.once('close', (code, reason) => resolve(endOfClose(code, reason)))
    ws.once('error', error => resolve(endOfError(error)))
  })
  let over = false
  void cut.then(() => {
    over = true
    wake()
  })
  ws.resume()

  const copy = async (): Promise<StreamEnd> => {
    try {
      for (;;) {
        const next = await lines.next()
        if (over) return ended('normal')
        if (next.done) return ended('normal', 'end')
        for (let at = 0; at < next.value.length; at += frameSize) {
          const part = next.value.subarray(at, at + frameSize)
          bytes.out += part.length
          ws.send(part, { binary: true, compress: false }, () => {
            gauge.delivered++
            if (ws.bufferedAmount <= lowWater) wake()
          })
        }
        if (ws.bufferedAmount > highWater && !over) await new Promise<void>(resolve => (wake = resolve))
      }
    } catch (error) {
      return ended('target_ended', `logs: ${(error as Error).message}`)
    }
  }
  try {
    return await Promise.race([cut, copy()])
  } finally {
    // The iterator may be waiting for a line that never comes: ask it to stop, but do not wait.
    lines.return?.()?.then(undefined, () => {})
  }
}
