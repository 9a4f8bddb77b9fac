/** Builds the dashboard into web/dist. `base` is `/`: the API serves it at the root and falls back to index.html. */
import { fileURLToPath } from 'node:url'
import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  plugins: [react()],
  // The server puts each answer's own nonce in its place (api/web-page.ts).
  html: { cspNonce: 'porthole-page-nonce' },
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    target: 'es2022',
    // A strict CSP has no `data:` for fonts: every asset stays a file.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 400,
  },
  server: {
    // `npx vite web` beside a running API.
    proxy: { '/v1': { target: 'http://127.0.0.1:8080', ws: true }, '/openapi.json': 'http://127.0.0.1:8080' },
  },
})
