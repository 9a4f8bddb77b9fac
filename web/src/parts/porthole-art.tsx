/** The window in the hull: brand mark, and the picture of empty, lost and failed pages. Calm sea, fog, or night. */
import { useId } from 'react'

export type Weather = 'calm' | 'fog' | 'night'

export function PortholeMark({ size = 28 }: { size?: number }) {
  return (
    <svg className="mark" width={size} height={size} viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <circle className="mark-rim" cx="16" cy="16" r="14" />
      <circle className="mark-glass" cx="16" cy="16" r="9.5" />
      <path
        className="mark-sea"
        d="M6.8 18.4c2.3 0 2.3-1.5 4.6-1.5s2.3 1.5 4.6 1.5 2.3-1.5 4.6-1.5 2.3 1.5 4.6 1.5A9.5 9.5 0 0 1 6.8 18.4z"
      />
    </svg>
  )
}

const bolts = Array.from({ length: 8 }, (_, index) => {
  const angle = (index / 8) * Math.PI * 2 + Math.PI / 8
  return { x: 100 + Math.cos(angle) * 88, y: 100 + Math.sin(angle) * 88 }
})

export function PortholeArt({ weather = 'calm', className = '' }: { weather?: Weather; className?: string }) {
  const id = useId()
  const clip = `${id}-glass`
  const sky = `${id}-sky`
  return (
    <svg className={`porthole ${className}`} data-weather={weather} viewBox="0 0 200 200" aria-hidden="true" focusable="false">
      <defs>
        <clipPath id={clip}>
          <circle cx="100" cy="100" r="74" />
        </clipPath>
        <linearGradient id={sky} x1="0" y1="0" x2="0" y2="1">
          <stop className="sky-top" offset="0" />
          <stop className="sky-low" offset="0.62" />
        </linearGradient>
      </defs>
      <circle className="porthole-rim" cx="100" cy="100" r="98" />
      <circle className="porthole-rim-edge" cx="100" cy="100" r="79" />
      {bolts.map(bolt => (
        <circle key={`${bolt.x} ${bolt.y}`} className="porthole-bolt" cx={bolt.x} cy={bolt.y} r="3" />
      ))}
      <g clipPath={`url(#${clip})`}>
        <rect x="26" y="26" width="148" height="148" fill={`url(#${sky})`} />
        <circle className="porthole-sun" cx="128" cy="84" r="13" />
        <path
          className="sea sea-far"
          d="M-60 112c10-5 20-5 30 0s20 5 30 0 20-5 30 0 20 5 30 0 20-5 30 0 20 5 30 0 20-5 30 0 20 5 30 0 20-5 30 0 20 5 30 0V200H-60z"
        />
        <path
          className="sea sea-mid"
          d="M-60 126c15-6 30-6 45 0s30 6 45 0 30-6 45 0 30 6 45 0 30-6 45 0 30 6 45 0 30-6 45 0V200H-60z"
        />
        <path className="sea sea-near" d="M-60 144c20-8 40-8 60 0s40 8 60 0 40-8 60 0 40 8 60 0 40-8 60 0V200H-60z" />
        <rect className="fog fog-one" x="0" y="88" width="200" height="16" rx="8" />
        <rect className="fog fog-two" x="20" y="116" width="180" height="12" rx="6" />
      </g>
      <circle className="porthole-glint" cx="100" cy="100" r="70" />
    </svg>
  )
}
