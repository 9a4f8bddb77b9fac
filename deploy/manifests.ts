/**
 * The files of manifests/: the charts with their defaults, for `kubectl apply -f`, as bases of kustomize, and for reading. `node deploy/render.ts --write`
 * brings them up to date.
 */
import { join } from 'node:path'
import { asYaml, renderChart } from './chart.ts'

const head = (lines: string[]) => lines.map(line => (line === '' ? '#\n' : `# ${line}\n`)).join('')

export function manifestFiles(deploy: string): { file: string; text: string }[] {
  const agent = renderChart(join(deploy, 'helm/porthole-agent'), {
    name: 'porthole-agent',
    namespace: 'porthole-system',
    values: { url: 'https://porthole.example.com', existingJoinSecret: 'porthole-join', namespace: { create: true } },
  })
  const api = renderChart(join(deploy, 'helm/porthole'), {
    name: 'porthole',
    namespace: 'porthole',
    values: { postgres: { existingSecret: 'porthole-postgres' } },
  })
  return [
    {
      file: 'porthole-agent/porthole-agent.yaml',
      text:
        head([
          'Made from deploy/helm/porthole-agent by `node deploy/render.ts --write`. Before applying it:',
          '',
          '1. PORTHOLE_URL below: the address of your API',
          '2. kubectl create namespace porthole-system',
          '3. kubectl -n porthole-system create secret generic porthole-join --from-literal=join-token=<token>',
        ]) + asYaml(agent),
    },
    {
      file: 'porthole/porthole.yaml',
      text:
        head([
          'Made from deploy/helm/porthole by `node deploy/render.ts --write`. Before applying it with `kubectl -n porthole apply -f`:',
          '',
          '1. kubectl create namespace porthole',
          '2. kubectl -n porthole create secret generic porthole-postgres --from-literal=password=<letters and digits>',
        ]) + asYaml(api),
    },
    { file: 'porthole-agent/kustomization.yaml', text: kustomization('porthole-agent.yaml') },
    { file: 'porthole/kustomization.yaml', text: kustomization('porthole.yaml') },
  ]
}

const kustomization = (resource: string) => `apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - ${resource}
`
