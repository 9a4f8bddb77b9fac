/** The designed states of a page that has nothing to show: empty, failed, lost. */
import type { ReactNode } from 'react'
import { ApiError } from '../api/api-error.ts'
import { Button } from './button.tsx'
import { PortholeArt, type Weather } from './porthole-art.tsx'

export function EmptyState({
  title,
  children,
  action,
  weather = 'calm',
}: {
  title: string
  children?: ReactNode
  action?: ReactNode
  weather?: Weather
}) {
  return (
    <div className="empty">
      <PortholeArt weather={weather} />
      <h2>{title}</h2>
      {children && <p>{children}</p>}
      {action && <div className="empty-action">{action}</div>}
    </div>
  )
}

/** Honest where a token may not look: nothing is broken, and trying again changes nothing. */
export function NotAllowed({ scope, words, action }: { scope?: string | undefined; words?: string; action?: ReactNode }) {
  return (
    <EmptyState weather="fog" title="Your token may not see this" action={action}>
      {scope ? (
        <>
          It lacks the scope <code>{scope}</code>. Whoever gave it to you can give you one that has it.
        </>
      ) : (
        words
      )}
    </EmptyState>
  )
}

export function FailedState({ error, onRetry }: { error: Error; onRetry: () => void }) {
  if (error instanceof ApiError && error.status === 403) {
    // Of other refusals than of a scope, the API's own words are all there is.
    return <NotAllowed scope={/lacks the scope ([a-z]+(?::[a-z]+)?)/.exec(error.message)?.[1]} words={error.message} />
  }
  const offline = error instanceof ApiError && error.code === 'offline'
  const requestId = error instanceof ApiError ? error.requestId : null
  return (
    <div role="alert">
      <EmptyState
        weather={offline ? 'fog' : 'night'}
        title={offline ? 'No connection to Porthole' : 'This could not be loaded'}
        action={
          <Button icon="restart" onClick={onRetry}>
            Try again
          </Button>
        }
      >
        {error.message}
        {requestId && (
          <>
            <br />
            <span className="faint mono">request {requestId}</span>
          </>
        )}
      </EmptyState>
    </div>
  )
}

export function Skeleton({ width, height }: { width?: string; height?: string }) {
  return <span className="skeleton" style={{ width, height }} aria-hidden="true" />
}

export function Notice({ tone = 'quiet', children }: { tone?: 'quiet' | 'warn' | 'bad' | 'good'; children: ReactNode }) {
  return (
    <div className="notice" data-tone={tone} role={tone === 'bad' ? 'alert' : undefined}>
      {children}
    </div>
  )
}
