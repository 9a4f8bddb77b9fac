/** Line icons on a 20 px grid. Decorative always: the word beside them, or the button's label, speaks. */
const paths = {
  sessions: 'M3 5.5h14v8.5H3zM7.5 17h5M10 14v3',
  wall: 'M3 3.5h6v5.5H3zM11 3.5h6v5.5h-6zM3 11h6v5.5H3zM11 11h6v5.5h-6z',
  clusters: 'M10 2.5l6.5 3.75v7.5L10 17.5l-6.5-3.75v-7.5zM10 10l6.5-3.75M10 10v7.5M10 10L3.5 6.25',
  tokens: 'M7 12.5a4 4 0 1 1 3.5-2.1L17 16.5v-3h-2.5V11h-2.5M6 8.5h.01',
  plus: 'M10 4v12M4 10h12',
  more: 'M4.5 10h.01M10 10h.01M15.5 10h.01',
  close: 'M5 5l10 10M15 5L5 15',
  check: 'M4 10.5l4 4 8-9',
  copy: 'M7 7h9v10H7zM4 13V3h9',
  search: 'M9 3.5a5.5 5.5 0 1 1 0 11 5.5 5.5 0 0 1 0-11zM13 13l4 4',
  back: 'M12 4l-6 6 6 6',
  next: 'M8 4l6 6-6 6',
  down: 'M5 8l5 5 5-5',
  restart: 'M16 10a6 6 0 1 1-1.9-4.4M16.5 3v3.5H13',
  stop: 'M5.5 5.5h9v9h-9z',
  start: 'M6 4l10 6-10 6z',
  end: 'M4 6h12M8 6V4h4v2M5.5 6l.7 10.5h7.6L14.5 6M8.5 9v4.5M11.5 9v4.5',
  clock: 'M10 3a7 7 0 1 1 0 14 7 7 0 0 1 0-14zM10 6.5V10l2.5 1.5',
  fit: 'M3 7V3h4M13 3h4v4M17 13v4h-4M7 17H3v-4M6.5 8h7v4h-7z',
  actual: 'M4 6l2-1.5V15M14 6l2-1.5V15M10.5 8h.01M10.5 12.5h.01',
  match: 'M3 4h14v12H3zM6.5 10h7M11 7.5l2.5 2.5-2.5 2.5M9 7.5L6.5 10 9 12.5',
  full: 'M12 3h5v5M8 17H3v-5M17 3l-6 6M3 17l6-6',
  unfull: 'M17 8h-5V3M3 12h5v5M12 8l5-5M8 12l-5 5',
  camera: 'M3 6.5h3.5L8 4.5h4l1.5 2H17V16H3zM10 8.5a2.6 2.6 0 1 1 0 5.2 2.6 2.6 0 0 1 0-5.2z',
  paste: 'M7 4H4.5v13h11V4H13M7 2.8h6v2.7H7zM7.5 9.5h5M7.5 12.5h5',
  keyboard: 'M2.5 5.5h15v9h-15zM5.5 8.5h.01M8.5 8.5h.01M11.5 8.5h.01M14.5 8.5h.01M6.5 11.5h7',
  keycap: 'M5.5 3.5h9a2 2 0 0 1 2 2v9a2 2 0 0 1-2 2h-9a2 2 0 0 1-2-2v-9a2 2 0 0 1 2-2zM7.5 13L10 6.5l2.5 6.5M8.3 11h3.4',
  eye: 'M2 10s3-5 8-5 8 5 8 5-3 5-8 5-8-5-8-5zM10 7.8a2.2 2.2 0 1 1 0 4.4 2.2 2.2 0 0 1 0-4.4z',
  panel: 'M3 4h14v12H3zM12.5 4v12',
  quality: 'M3 14l4-5 3 3 3-5 4 7',
  sun: 'M10 6.5a3.5 3.5 0 1 1 0 7 3.5 3.5 0 0 1 0-7zM10 2v1.5M10 16.5V18M2 10h1.5M16.5 10H18M4.3 4.3l1.1 1.1M14.6 14.6l1.1 1.1M15.7 4.3l-1.1 1.1M5.4 14.6l-1.1 1.1',
  moon: 'M16.5 11.5A6.8 6.8 0 0 1 8.5 3.5a6.8 6.8 0 1 0 8 8z',
  auto: 'M10 3a7 7 0 1 1 0 14zM10 3a7 7 0 0 0 0 14',
  out: 'M8 3.5H4v13h4M12.5 6.5L16 10l-3.5 3.5M16 10H8',
  warn: 'M10 3.5l7.5 13h-15zM10 8.5v3.5M10 14.3h.01',
  browser: 'M2.5 4h15v12h-15zM2.5 7.5h15M5 5.8h.01M7 5.8h.01',
  desktop: 'M2.5 4h15v9.5h-15zM7 17h6M10 13.5V17M5.5 7h4v3.5h-4z',
  app: 'M3 3.5h6v6H3zM11 10.5h6v6h-6zM11 3.5h6v6h-6zM3 10.5h6v6H3z',
  download: 'M10 3v9.5M6 9l4 4 4-4M3.5 16.5h13',
  external: 'M8 4.5H4v11.5h11.5V12M11 3.5h5.5V9M16 4l-7 7',
  grid: 'M3 4h6v5H3zM11 4h6v5h-6zM3 11h6v5H3zM11 11h6v5h-6z',
  rows: 'M3 5h14M3 10h14M3 15h14',
  key: 'M7 12.5a4 4 0 1 1 3.5-2.1L17 16.5v-3h-2.5V11h-2.5M6 8.5h.01',
  pause: 'M7 4.5v11M13 4.5v11',
  shield: 'M10 2.5l6 2.2v4.8c0 4-2.7 6.7-6 8-3.3-1.3-6-4-6-8V4.7z',
  share:
    'M14 3.2a2.3 2.3 0 1 1 0 4.6 2.3 2.3 0 0 1 0-4.6zM6 7.7a2.3 2.3 0 1 1 0 4.6 2.3 2.3 0 0 1 0-4.6zM14 12.2a2.3 2.3 0 1 1 0 4.6 2.3 2.3 0 0 1 0-4.6zM8.1 9l3.8-2.2M8.1 11l3.8 2.2',
  jobs: 'M3 4.5h14v11H3zM6 8l2.5 2L6 12M10.5 12.5H14',
  volumes:
    'M10 3c3.9 0 7 1.1 7 2.5S13.9 8 10 8 3 6.9 3 5.5 6.1 3 10 3zM3 5.5v4.5c0 1.4 3.1 2.5 7 2.5s7-1.1 7-2.5V5.5M3 10v4.5C3 15.9 6.1 17 10 17s7-1.1 7-2.5V10',
  upload: 'M10 12.5V3M6 6.5l4-4 4 4M3.5 16.5h13',
  projects: 'M3 5.5h5l1.5 2H17v8.5H3z',
  audit: 'M5 2.8h7.5L16 6.3v10.9H5zM12.2 3v3.6h3.6M7.5 9.5h5.5M7.5 12h5.5M7.5 14.5h3',
  pools: 'M10 3.2c2.6 3.1 4.6 5.4 4.6 8a4.6 4.6 0 0 1-9.2 0c0-2.6 2-4.9 4.6-8zM8 11.6a2.2 2.2 0 0 0 2.2 2.2',
  registries: 'M10 2.8l6.5 3v8.4l-6.5 3-6.5-3V5.8zM3.7 6l6.3 2.9L16.3 6M10 8.9v8M6.7 4.4l6.4 3',
  secrets: 'M4.5 9h11v8h-11zM7 9V6.5a3 3 0 0 1 6 0V9M10 12.3v1.7',
  webhooks:
    'M6 3.3a1.9 1.9 0 1 1 0 3.8 1.9 1.9 0 0 1 0-3.8zM6 12.9a1.9 1.9 0 1 1 0 3.8 1.9 1.9 0 0 1 0-3.8zM14 6.1a1.9 1.9 0 1 1 0 3.8 1.9 1.9 0 0 1 0-3.8zM6 7.1v5.8M14 9.9c0 2.6-4 1.7-7.4 3.2',
  files: 'M5 2.8h6.5l3.5 3.5v10.9H5zM11.3 3v3.5h3.6',
  terminal: 'M2.5 4h15v12h-15zM5.5 7.5L8 10l-2.5 2.5M9.5 12.5h4',
  up: 'M5 12l5-5 5 5',
  api: 'M7 5L2.5 10 7 15M13 5l4.5 5-4.5 5',
} as const

export type IconName = keyof typeof paths

export function Icon({ name, size = 18 }: { name: IconName; size?: number }) {
  return (
    <svg className="icon" data-icon={name} width={size} height={size} viewBox="0 0 20 20" aria-hidden="true" focusable="false">
      <path d={paths[name]} />
    </svg>
  )
}
