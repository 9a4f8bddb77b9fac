/** The place on the page where a session's screen appears, and the words over it while it does not. */
import '../styles/screen.css'
import type RFB from '@novnc/novnc'
import { type Ref, useEffect, useImperativeHandle, useRef, useState } from 'react'
import type { Ticket } from '../api/contract.ts'
import { Button } from '../parts/button.tsx'
import { connectScreen, type ScreenConnection, type ScreenLook, type ScreenState } from './screen-connection.ts'

export interface ScreenHandle {
  rfb: () => RFB | null
  focus: () => void
}

export interface ScreenSource {
  /** Another key is another screen. */
  key: string
  ticket: () => Promise<Ticket>
}

interface ScreenViewProps {
  source: ScreenSource
  look: ScreenLook
  label: string
  onState?: (state: ScreenState) => void
  onClipboard?: (text: string) => void
  /** For tiles: no buttons, fewer words. */
  small?: boolean
  ref?: Ref<ScreenHandle>
}

export function ScreenView({ source, look, label, onState, onClipboard, small = false, ref }: ScreenViewProps) {
  const target = useRef<HTMLDivElement>(null)
  const connection = useRef<ScreenConnection | null>(null)
  const latest = useRef({ source, look, onState, onClipboard })
  latest.current = { source, look, onState, onClipboard }
  const [state, setState] = useState<ScreenState>({ phase: 'connecting', attempt: 1 })

  // biome-ignore lint/correctness/useExhaustiveDependencies: another key is another screen
  useEffect(() => {
    if (!target.current) return
    const live = connectScreen({
      target: target.current,
      ticket: () => latest.current.source.ticket(),
      openSocket: (url, protocols) => new WebSocket(url, protocols),
      loadRfb: async () => (await import('@novnc/novnc')).default,
      look: latest.current.look,
      onState: next => {
        setState(next)
        latest.current.onState?.(next)
      },
      onClipboard: text => latest.current.onClipboard?.(text),
    })
    connection.current = live
    const wake = () => {
      if (document.visibilityState === 'visible') live.hurry()
    }
    window.addEventListener('online', wake)
    document.addEventListener('visibilitychange', wake)
    return () => {
      window.removeEventListener('online', wake)
      document.removeEventListener('visibilitychange', wake)
      live.stop()
      connection.current = null
    }
  }, [source.key])

  const { viewOnly, scale, quality, compression } = look
  useEffect(() => {
    connection.current?.look({ viewOnly, scale, quality, compression })
  }, [viewOnly, scale, quality, compression])

  useImperativeHandle(ref, () => ({
    rfb: () => connection.current?.rfb() ?? null,
    focus: () => connection.current?.rfb()?.focus({ preventScroll: true }),
  }))

  return (
    <div className="screen" data-phase={state.phase} data-scale={scale}>
      <div className="screen-target" ref={target} role="application" aria-label={label} />
      {state.phase !== 'live' && state.phase !== 'closed' && (
        <div className="screen-veil" role="status">
          <div className="screen-veil-box">
            {state.phase === 'ended' ? (
              <>
                <p>{state.words}</p>
                {!small && (
                  <Button size="small" icon="restart" onClick={() => connection.current?.retry()}>
                    Connect again
                  </Button>
                )}
              </>
            ) : state.phase === 'waiting' ? (
              <>
                <p>{state.words}</p>
                {!small && (
                  <p className="screen-next">
                    <Countdown until={state.retryAt} attempt={state.attempt} />
                    <Button size="small" onClick={() => connection.current?.retry()}>
                      Now
                    </Button>
                  </p>
                )}
              </>
            ) : (
              <>
                <span className="spinner" aria-hidden="true" />
                {!small && <p>{state.attempt > 1 ? 'Connecting again…' : 'Connecting to the screen…'}</p>}
              </>
            )}
          </div>
        </div>
      )}
    </div>
  )
}

function Countdown({ until, attempt }: { until: number; attempt: number }) {
  const [seconds, setSeconds] = useState(() => Math.ceil((until - Date.now()) / 1000))
  useEffect(() => {
    const timer = setInterval(() => setSeconds(Math.ceil((until - Date.now()) / 1000)), 250)
    return () => clearInterval(timer)
  }, [until])
  return (
    <span aria-hidden="true">
      Again {seconds > 0 ? `in ${seconds} s` : 'now'}
      {attempt > 1 && `, try ${attempt + 1}`}
    </span>
  )
}
