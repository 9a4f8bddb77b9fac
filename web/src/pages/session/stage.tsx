/** The screen of a session with its tools around it, or what there is to say while it has none. */
import { type ReactNode, useCallback, useEffect, useRef, useState } from 'react'
import type { Session } from '../../api/contract.ts'
import { useApp } from '../../app-context.tsx'
import { safeText } from '../../format/safe-text.ts'
import { titleOf } from '../../format/session-words.ts'
import { IconButton } from '../../parts/button.tsx'
import { saveFile } from '../../parts/save-file.ts'
import { keysym } from '../../screen/keysyms.ts'
import type { ScreenState } from '../../screen/screen-connection.ts'
import { type ScreenHandle, ScreenView } from '../../screen/screen-view.tsx'
import { watchStageKeys } from '../../screen/stage-keys.ts'
import { ClipboardPanel } from './clipboard-panel.tsx'
import { pasteInto, pressTogether, typeInto } from './remote-input.ts'
import { SoftKeyboard } from './soft-keyboard.tsx'
import { StagePlate } from './stage-plate.tsx'
import { FullScreenButton, LookTools, QualityMenu, SendKeys, useFullScreen, useStageLook } from './stage-tools.tsx'
import { StillScreen } from './still-screen.tsx'
import { controlLine } from './viewer-words.ts'

interface StageProps {
  session: Session
  /** Without the scope to connect there are only pictures that stand still. */
  mayControl: boolean
  /** May decide who types. */
  owner: boolean
  /** This window's own stream. */
  mine: string | null
  onMine: (viewer: string) => void
  actions: ReactNode
  panelOpen: boolean
  onPanel: (open: boolean) => void
}

export function Stage({ session, mayControl, owner, mine, onMine, actions, panelOpen, onPanel }: StageProps) {
  const { api, toasts } = useApp()
  const watch = useStageLook(mayControl)
  const [clipOpen, setClipOpen] = useState(false)
  const [keyboardOpen, setKeyboardOpen] = useState(false)
  const [fromSession, setFromSession] = useState('')
  const [phase, setPhase] = useState<ScreenState['phase']>('connecting')
  const stage = useRef<HTMLDivElement>(null)
  const screen = useRef<ScreenHandle>(null)
  const keys = useRef<ReturnType<typeof watchStageKeys> | null>(null)
  const typing = useRef(new AbortController())
  const full = useFullScreen(stage)
  const title = titleOf(session)
  const hasScreen = session.status === 'running' && !session.headless
  const live = hasScreen && phase === 'live'
  const source = {
    key: `${session.id} ${session.generation}`,
    async ticket() {
      const ticket = await api.ticket(session.id, 'control')
      onMine(ticket.viewer)
      return ticket
    },
  }
  const control = live ? controlLine(session.control, mine, owner) : null

  async function takeBack() {
    try {
      await api.setControl(session.id, { mode: 'single' })
    } catch (error) {
      toasts.failed('Control was not taken back', error)
    }
  }
  const { viewOnly } = watch.look
  const mayIn = session.clipboard === 'in' || session.clipboard === 'both'

  const paste = useCallback((text: string) => {
    const rfb = screen.current?.rfb()
    if (!rfb) return
    pasteInto(rfb, text)
    screen.current?.focus()
  }, [])

  // biome-ignore lint/correctness/useExhaustiveDependencies: the stage's element changes with `hasScreen`
  useEffect(() => {
    if (!stage.current) return
    const watched = watchStageKeys(stage.current, {
      mayPaste: () => mayIn && !viewOnly,
      paste,
      plainPaste: () => {
        const rfb = screen.current?.rfb()
        if (rfb) pressTogether(rfb, [keysym.control, 0x76])
      },
      release: () => stage.current?.querySelector<HTMLElement>('.stage-tools input:checked, .stage-tools button')?.focus(),
    })
    keys.current = watched
    return () => watched.stop()
  }, [hasScreen, mayIn, viewOnly, paste])

  useEffect(() => {
    const controller = typing.current
    return () => controller.abort()
  }, [])

  async function download() {
    try {
      const picture = await api.screenshot(session.id, null)
      saveFile(picture, `${session.name ?? session.id}.png`)
    } catch (error) {
      toasts.failed('No screenshot', error)
    }
  }

  function onClipboard(text: string) {
    const clean = safeText(text)
    setFromSession(clean)
    if (keys.current?.copiedJustNow()) void navigator.clipboard?.writeText(clean).catch(() => {})
  }

  return (
    <section className="stage" ref={stage} aria-label={`Screen of ${title}`} data-full={full.on || undefined}>
      {hasScreen && (
        <div className="stage-tools tip-end" role="toolbar" aria-label="Screen tools">
          {mayControl && <LookTools watch={watch} mayControl display={session.display} mayMatch />}
          <span className="stage-tools-rest" />
          {mayControl && (
            <>
              <IconButton
                label="Clipboard"
                icon="paste"
                aria-expanded={clipOpen}
                disabled={!live}
                onClick={() => setClipOpen(!clipOpen)}
              />
              <IconButton
                className="touch-only"
                label="Keyboard"
                icon="keyboard"
                aria-pressed={keyboardOpen}
                disabled={!live}
                onClick={() => setKeyboardOpen(!keyboardOpen)}
              />
              <SendKeys screen={screen} />
            </>
          )}
          {mayControl && <QualityMenu watch={watch} />}
          <IconButton label="Save a screenshot" icon="camera" onClick={() => void download()} />
          <IconButton
            className="panel-toggle"
            label={panelOpen ? 'Hide the panel' : 'Show the panel'}
            icon="panel"
            aria-pressed={panelOpen}
            onClick={() => onPanel(!panelOpen)}
          />
          <FullScreenButton full={full} />
        </div>
      )}
      <div className="stage-well">
        {hasScreen && !mayControl ? (
          <StillScreen session={session} />
        ) : hasScreen ? (
          <ScreenView
            ref={screen}
            source={source}
            look={watch.look}
            label={`Live screen of ${title}. ${viewOnly ? 'View only.' : 'Takes the keyboard while it has the focus; Ctrl+Alt+Shift gives it back.'}`}
            onState={state => setPhase(state.phase)}
            onClipboard={onClipboard}
          />
        ) : (
          <StagePlate session={session} actions={actions} />
        )}
        {control && (
          <p className="control-line" data-taken={control.taken || undefined} role="status">
            {control.words}
            {control.taken && owner && (
              <button type="button" className="link-button" onClick={() => void takeBack()}>
                Take it back
              </button>
            )}
          </p>
        )}
        {clipOpen && live && (
          <ClipboardPanel
            policy={session.clipboard}
            viewOnly={viewOnly}
            fromSession={fromSession}
            onPaste={paste}
            onType={async text => {
              screen.current?.focus()
              await typeInto(() => screen.current?.rfb() ?? null, text, typing.current.signal)
            }}
            onClose={() => setClipOpen(false)}
          />
        )}
        {keyboardOpen && live && (
          <SoftKeyboard rfb={() => screen.current?.rfb() ?? null} onClose={() => setKeyboardOpen(false)} />
        )}
      </div>
    </section>
  )
}
