/**
 * The page behind a share link, for people without an account. The link's secret is in the fragment, which never leaves the browser but in the
 * body of a POST; nothing here uses a cookie.
 *
 *   no secret -> incomplete        opening -> gone | waiting | live
 *   waiting (session not running): looked at again every `lookMs`        live -> gone | waiting, when its screen ended or time is up
 */
import '../../styles/session.css'
import '../../styles/share.css'
import { useEffect, useRef, useState } from 'react'
import { ApiError, messageOf } from '../../api/api-error.ts'
import type { SharedSession } from '../../api/contract.ts'
import { useApp } from '../../app-context.tsx'
import { safeLine } from '../../format/safe-text.ts'
import { countdown, fullDate, until } from '../../format/time.ts'
import { useStore } from '../../live/observable.ts'
import { Button } from '../../parts/button.tsx'
import { Icon } from '../../parts/icons.tsx'
import { PortholeArt, PortholeMark } from '../../parts/porthole-art.tsx'
import { EmptyState } from '../../parts/states.tsx'
import { StatusBadge } from '../../parts/status-badge.tsx'
import { askingOf, goneWords, roleWord, secretOf, sharedTitle, waitWords } from './join-words.ts'
import { SharedStage } from './shared-stage.tsx'

const lookMs = 10_000
/** While an answer is awaited. */
const soonMs = 3_000
/** Who uses the screen is to know soon that it does not listen to them any more. */
const useMs = 2_000

export function JoinPage() {
  const hash = useHash()
  const secret = secretOf(hash)
  if (secret) return <Opened key={secret} secret={secret} />
  return (
    <main className="join-plain">
      <EmptyState weather="fog" title="This link is not complete">
        Open it again from where you got it, whole: the part behind the # is its key.
      </EmptyState>
    </main>
  )
}

function Opened({ secret }: { secret: string }) {
  const { api, clock } = useApp()
  const [shared, setShared] = useState<SharedSession | null>(null)
  const [gone, setGone] = useState(false)
  const [fault, setFault] = useState('')
  const [turn, setTurn] = useState(0)
  const known = useRef<SharedSession | null>(null)
  /** This window's own stream, once it has one. */
  const viewer = useRef<string | null>(null)
  const lookedAt = useRef(0)
  const look = () => {
    lookedAt.current = performance.now()
    setTurn(count => count + 1)
  }
  async function ask() {
    if (!viewer.current) return
    try {
      setShared(await api.askForControl(secret, viewer.current))
    } catch {
      // Refused because it was decided meanwhile, or the screen is gone: what is true now tells the rest.
      look()
    }
  }
  const over = useStore(clock.ticks, now => shared !== null && (until(shared.expires_at, now) ?? 1) <= 0)
  const running = shared?.status === 'running'

  // biome-ignore lint/correctness/useExhaustiveDependencies: `turn` says that it is time to look again
  useEffect(() => {
    const stop = new AbortController()
    api
      .openLink(secret, viewer.current, stop.signal)
      .then(answer => {
        known.current = answer
        setShared(answer)
        setGone(false)
        setFault('')
      })
      .catch(error => {
        if (stop.signal.aborted) return
        if (error instanceof ApiError && error.status === 404) setGone(true)
        else setFault(messageOf(error))
      })
    return () => stop.abort()
  }, [api, secret, turn])

  // Who may type changes without the guest's doing, and only for those who were let in to type.
  const again = !gone && !over && (!running || fault !== '' || shared.role === 'control')
  // biome-ignore lint/correctness/useExhaustiveDependencies: each look sets the next one
  useEffect(() => {
    if (!again) return
    const timer = setTimeout(look, shared?.asked_at ? soonMs : lookMs)
    return () => clearTimeout(timer)
  }, [again, turn, shared?.asked_at])

  useEffect(() => {
    document.title = `${shared ? sharedTitle(shared) : 'Shared screen'} · Porthole`
  }, [shared])

  if (gone || over) {
    const { title, words } = goneWords(known.current, clock.now())
    return (
      <main className="join-plain">
        <EmptyState weather="night" title={title}>
          {words}
        </EmptyState>
      </main>
    )
  }
  if (!shared) {
    return fault ? (
      <main className="join-plain">
        <EmptyState
          weather="fog"
          title="The link could not be opened"
          action={
            <Button icon="restart" onClick={look}>
              Try again
            </Button>
          }
        >
          {fault}
        </EmptyState>
      </main>
    ) : (
      <div className="boot" role="status">
        <PortholeMark size={44} />
        <span className="unseen">Opening the link</span>
      </div>
    )
  }
  return (
    <div className="join">
      <JoinHead shared={shared} onAsk={ask} />
      {running ? (
        <SharedStage
          secret={secret}
          shared={shared}
          onLost={look}
          onUse={() => performance.now() - lookedAt.current > useMs && look()}
          onViewer={id => (viewer.current = id)}
        />
      ) : (
        <Waiting shared={shared} />
      )}
    </div>
  )
}

function JoinHead({ shared, onAsk }: { shared: SharedSession; onAsk: () => Promise<void> }) {
  const asking = askingOf(shared)
  const { clock } = useApp()
  const left = useStore(clock.ticks, now => countdown(until(shared.expires_at, now) ?? 0))
  return (
    <header className="join-head">
      <a className="join-brand" href="/" title="Porthole" aria-label="Porthole">
        <PortholeMark />
      </a>
      <div className="join-title">
        <h1>{sharedTitle(shared)}</h1>
        <p>Shared by {safeLine(shared.shared_by)}</p>
      </div>
      <StatusBadge {...roleWord(shared)} />
      {asking === 'may' && (
        <Button size="small" icon="keyboard" onClick={() => void onAsk()}>
          Ask for control
        </Button>
      )}
      {asking === 'asked' && (
        <span className="join-asked" role="status">
          Asked. You will see when you have it.
        </span>
      )}
      <span className="join-left" title={`The link works until ${fullDate(shared.expires_at)}`}>
        <Icon name="clock" size={16} />
        <span className="time-left">{left} left</span>
      </span>
    </header>
  )
}

function Waiting({ shared }: { shared: SharedSession }) {
  const { title, words } = waitWords(shared.status)
  const moving = ['queued', 'starting', 'stopping'].includes(shared.status)
  return (
    <main className="stage">
      <div className="stage-well">
        <div className="stage-plate" role="status">
          <PortholeArt weather={moving ? 'calm' : 'fog'} className={moving ? 'porthole-moving' : ''} />
          <h2>{title}</h2>
          <p className="stage-reason">{words}</p>
        </div>
      </div>
    </main>
  )
}

/** Another link pasted into the same tab changes nothing but this. */
function useHash(): string {
  const [hash, setHash] = useState(location.hash)
  useEffect(() => {
    const read = () => setHash(location.hash)
    window.addEventListener('hashchange', read)
    return () => window.removeEventListener('hashchange', read)
  }, [])
  return hash
}
