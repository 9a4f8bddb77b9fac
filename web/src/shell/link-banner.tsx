/** Says when what is on the page may be old. A short hiccup is not worth a banner: it appears after the first failed try. */
import { useEffect, useState } from 'react'
import { useApp } from '../app-context.tsx'
import { useStore } from '../live/observable.ts'
import { Icon } from '../parts/icons.tsx'

export function LinkBanner() {
  const { live } = useApp()
  const link = useStore(live.link, state => state)
  const lost = useLost(link.phase, 'attempt' in link ? link.attempt : 1)
  const online = useOnline()
  return (
    <div className="link-banner" role="status" data-shown={lost || undefined}>
      {lost && (
        <>
          <Icon name="warn" size={16} />
          <span>
            {online ? 'The server does not answer.' : 'You are offline.'} What you see may be old.{' '}
            {online ? 'Trying again…' : 'It comes back by itself.'}
          </span>
        </>
      )}
    </div>
  )
}

/** Once shown it stays until the link is really back, through every new try. */
function useLost(phase: string, attempt: number): boolean {
  const [lost, setLost] = useState(false)
  useEffect(() => {
    if (phase === 'live') setLost(false)
    else if (phase === 'waiting' || attempt > 2) {
      const timer = setTimeout(() => setLost(true), 700)
      return () => clearTimeout(timer)
    }
  }, [phase, attempt])
  return lost
}

function useOnline(): boolean {
  const [online, setOnline] = useState(navigator.onLine)
  useEffect(() => {
    const read = () => setOnline(navigator.onLine)
    window.addEventListener('online', read)
    window.addEventListener('offline', read)
    return () => {
      window.removeEventListener('online', read)
      window.removeEventListener('offline', read)
    }
  }, [])
  return online
}

/** The small word at the foot of the navigation. */
export function LinkWord() {
  const { live } = useApp()
  const phase = useStore(live.link, state => state.phase)
  const words = {
    live: 'Live',
    connecting: 'Connecting',
    waiting: 'Reconnecting',
    closed: 'Not connected',
    deaf: 'No live updates',
  } as const
  return (
    <span
      className="link-word"
      data-phase={phase}
      title={phase === 'deaf' ? 'Your token may not follow events: reload the page to see what is new.' : undefined}
    >
      <span className="link-dot" aria-hidden="true" />
      {words[phase]}
    </span>
  )
}
