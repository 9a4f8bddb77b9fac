/**
 * Plays a recording through noVNC itself: a channel that speaks as the server did, at the times it did, and hears nothing. Going back begins anew and
 * hurries forward without waiting, as every picture builds on those before.
 */
import type RFB from '@novnc/novnc'
import type { Frame } from './fbs.ts'

export interface PlayerParts {
  target: HTMLElement
  frames: Frame[]
  loadRfb: () => Promise<typeof RFB>
  /** Milliseconds since the start, a few times a second while it plays. */
  onTime: (ms: number) => void
  onEnd: () => void
}

export interface Player {
  play: () => void
  pause: () => void
  seek: (ms: number) => void
  speed: (times: number) => void
  stop: () => void
}

/** Waits longer than this on a still screen are cut to it. */
const longestStill = 3_000
const tellEveryMs = 100

export function createPlayer({ target, frames, loadRfb, onTime, onEnd }: PlayerParts): Player {
  const last = frames.at(-1)?.at ?? 0
  let channel: RecordedChannel | null = null
  let rfb: RFB | null = null
  let next = 0
  let position = 0
  let times = 1
  let playing = false
  let timer: ReturnType<typeof setTimeout> | undefined
  let turn = 0

  function forget() {
    clearTimeout(timer)
    rfb?.disconnect()
    rfb = null
    channel = null
  }

  async function show(ms: number) {
    const mine = ++turn
    if (!channel || ms < position) {
      forget()
      const Rfb = await loadRfb()
      if (mine !== turn) return
      next = 0
      channel = new RecordedChannel()
      rfb = new Rfb(target, channel as unknown as WebSocket, { shared: true })
      rfb.viewOnly = true
      rfb.scaleViewport = true
      rfb.focusOnClick = false
      rfb.background = 'transparent'
    }
    advance(ms)
    if (playing) wait()
  }

  function advance(ms: number) {
    position = ms
    while (next < frames.length && frames[next]!.at <= ms) channel?.say(frames[next++]!.bytes)
    onTime(Math.min(position, last))
  }

  function wait() {
    clearTimeout(timer)
    if (next >= frames.length) {
      playing = false
      onEnd()
      return
    }
    const ahead = frames[next]!.at - position
    // A long still moment is skipped, all but its end.
    if (ahead > longestStill) position = frames[next]!.at - longestStill
    const step = Math.min(tellEveryMs, Math.max(4, (frames[next]!.at - position) / times))
    timer = setTimeout(() => {
      advance(position + step * times)
      wait()
    }, step)
  }

  return {
    play() {
      playing = true
      void show(position >= last ? 0 : position)
    },
    pause() {
      playing = false
      clearTimeout(timer)
    },
    seek: ms => void show(Math.max(0, Math.min(ms, last))),
    speed(value) {
      times = value
    },
    stop() {
      turn += 1
      playing = false
      forget()
    },
  }
}

/** The part of a WebSocket that noVNC uses. */
class RecordedChannel {
  binaryType = 'arraybuffer'
  protocol = 'binary'
  readyState: number = WebSocket.OPEN
  onopen: (() => void) | null = null
  onmessage: ((event: { data: ArrayBuffer }) => void) | null = null
  onclose: ((event: { code: number; reason: string; wasClean: boolean }) => void) | null = null
  onerror: (() => void) | null = null
  send(): void {}
  close(): void {
    if (this.readyState === WebSocket.CLOSED) return
    this.readyState = WebSocket.CLOSED
    this.onclose?.({ code: 1000, reason: '', wasClean: true })
  }
  say(bytes: Uint8Array<ArrayBuffer>): void {
    if (this.readyState === WebSocket.OPEN) this.onmessage?.({ data: bytes.slice().buffer })
  }
}
