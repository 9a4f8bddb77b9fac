/** Every running screen at once, only to look at. */
import '../../styles/wall.css'
import { memo, useEffect, useMemo, useRef, useState } from 'react'
import type { Session } from '../../api/contract.ts'
import { useApp } from '../../app-context.tsx'
import { count } from '../../format/quantity.ts'
import { titleOf } from '../../format/session-words.ts'
import { sameList, useStore } from '../../live/observable.ts'
import { Segmented } from '../../parts/form.tsx'
import { TimeLeft } from '../../parts/moments.tsx'
import { EmptyState, FailedState } from '../../parts/states.tsx'
import { Link } from '../../router.tsx'
import type { ScreenLook } from '../../screen/screen-connection.ts'
import { ScreenView } from '../../screen/screen-view.tsx'
import { PageHead } from '../../shell/shell.tsx'
import { recall, remember } from '../../shell/theme.ts'
import { shownSessions, useSessionList } from '../sessions/session-list.ts'
import { Thumbnail } from '../sessions/thumbnail.tsx'
import { chooseLive } from './wall-slots.ts'

type TileSize = 'small' | 'medium' | 'large'

const liveCap = 12
/** A hidden tab keeps its screens this long: switching tabs to and fro must not reconnect them all. */
const hiddenGraceMs = 10_000
const tileLook: ScreenLook = { viewOnly: true, scale: 'fit', quality: 2, compression: 6 }
const sizeKey = 'porthole.wall.size'

export function WallPage() {
  const { live } = useApp()
  const [size, setSize] = useState<TileSize>(readSize())
  const [inView, setInView] = useState<ReadonlySet<string>>(new Set())
  const list = useSessionList({ group: 'active', template: '', cluster: '', text: '' })
  // What the list has loaded, and what events told of besides.
  const running = useStore(
    live.sessions,
    state => shownSessions(state).filter(one => one.status === 'running' && !one.headless),
    sameList,
  )
  const awake = useTabAwake()
  const { loadMore } = list
  const more = list.loaded.more && list.loaded.phase === 'ready'
  // biome-ignore lint/correctness/useExhaustiveDependencies: `loadMore` is made anew on each render; `cursor` says when there is more
  useEffect(() => {
    if (more) void loadMore()
  }, [more, list.loaded.cursor])

  const lastLive = useRef<ReadonlySet<string>>(new Set())
  const chosen = useMemo(() => {
    const ids = awake
      ? chooseLive(
          running.map(one => one.id),
          inView,
          lastLive.current,
          liveCap,
        )
      : []
    return new Set(ids)
  }, [running, inView, awake])
  useEffect(() => {
    lastLive.current = chosen
  }, [chosen])
  const [onSee] = useState(() => (id: string, seen: boolean) => {
    setInView(current => {
      if (current.has(id) === seen) return current
      const next = new Set(current)
      if (seen) next.add(id)
      else next.delete(id)
      return next
    })
  })

  const summary =
    running.length === 0
      ? 'No screen is on.'
      : `${count(running.length, 'screen')} on · ${awake ? `${chosen.size} live here` : 'paused while you are away'}`
  return (
    <>
      <PageHead title="Wall" summary={summary}>
        <Segmented<TileSize>
          label="Size of the screens"
          chosen={size}
          onChoose={next => {
            setSize(next)
            remember(sizeKey, next)
          }}
          choices={[
            { key: 'small', label: 'S', title: 'Small' },
            { key: 'medium', label: 'M', title: 'Medium' },
            { key: 'large', label: 'L', title: 'Large' },
          ]}
        />
      </PageHead>
      {list.loaded.phase === 'failed' && running.length === 0 ? (
        <FailedState error={list.loaded.error ?? new Error('Unknown fault')} onRetry={list.retry} />
      ) : list.loaded.phase === 'loading' && running.length === 0 ? (
        <ul className="wall" data-size={size} aria-busy="true">
          {['a', 'b', 'c', 'd'].map(key => (
            <li key={key} className="tile">
              <span className="tile-screen skeleton" />
            </li>
          ))}
        </ul>
      ) : running.length === 0 ? (
        <EmptyState title="All screens are off" action={<Link to="/sessions">To the sessions</Link>}>
          A session appears here as soon as its screen is on.
        </EmptyState>
      ) : (
        <ul className="wall" data-size={size}>
          {running.map(session => (
            <Tile key={session.id} session={session} live={chosen.has(session.id)} onSee={onSee} />
          ))}
        </ul>
      )}
    </>
  )
}

interface TileProps {
  session: Session
  live: boolean
  onSee: (id: string, seen: boolean) => void
}

const Tile = memo(function Tile({ session, live, onSee }: TileProps) {
  const { api } = useApp()
  const box = useRef<HTMLLIElement>(null)
  const title = titleOf(session)
  useEffect(() => {
    if (!box.current) return
    const observer = new IntersectionObserver(entries => onSee(session.id, entries.at(-1)?.isIntersecting ?? false), {
      rootMargin: '80px',
    })
    observer.observe(box.current)
    return () => {
      observer.disconnect()
      onSee(session.id, false)
    }
  }, [session.id, onSee])
  return (
    <li className="tile" ref={box}>
      <div className="tile-screen" inert>
        {live ? (
          <ScreenView
            source={{ key: `${session.id} ${session.generation}`, ticket: () => api.ticket(session.id, 'view') }}
            look={tileLook}
            label={`Screen of ${title}`}
            small
          />
        ) : (
          <Thumbnail id={session.id} generation={session.generation} title={title} />
        )}
      </div>
      <Link to={`/sessions/${encodeURIComponent(session.id)}`} className="tile-bar">
        <span className="tile-title">{title}</span>
        <span className="tile-live" data-live={live || undefined}>
          {live ? 'Live' : 'Still'}
        </span>
        <TimeLeft session={session} short />
      </Link>
    </li>
  )
})

function useTabAwake(): boolean {
  const [awake, setAwake] = useState(document.visibilityState === 'visible')
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined
    const read = () => {
      clearTimeout(timer)
      if (document.visibilityState === 'visible') setAwake(true)
      else timer = setTimeout(() => setAwake(false), hiddenGraceMs)
    }
    document.addEventListener('visibilitychange', read)
    return () => {
      clearTimeout(timer)
      document.removeEventListener('visibilitychange', read)
    }
  }, [])
  return awake
}

function readSize(): TileSize {
  const kept = recall(sizeKey)
  return kept === 'small' || kept === 'large' ? kept : 'medium'
}
