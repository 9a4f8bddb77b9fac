{{- define "porthole-agent.name" -}}
{{- if eq .Values.agentName "porthole" -}}porthole-agent{{- else -}}porthole-agent-{{ .Values.agentName }}{{- end -}}
{{- end -}}

{{/* The Secret for its key and the Lease that lets one agent act at a time: the agent knows them by this name. */}}
{{- define "porthole-agent.state" -}}
porthole-agent-{{ .Values.agentName }}
{{- end -}}

{{- define "porthole-agent.selector" -}}
app.kubernetes.io/name: porthole-agent
app.kubernetes.io/instance: {{ .Values.agentName }}
{{- end -}}

{{- define "porthole-agent.labels" -}}
{{ include "porthole-agent.selector" . }}
app.kubernetes.io/part-of: porthole
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "porthole-agent.joinSecret" -}}
{{- if .Values.existingJoinSecret -}}{{ .Values.existingJoinSecret }}{{- else -}}{{ include "porthole-agent.name" . }}-join{{- end -}}
{{- end -}}

{{/* The cluster's own images are allowed, or nothing would run; an empty list in the agent's settings would mean "all". */}}
{{- define "porthole-agent.allowedImages" -}}
{{- $own := list -}}
{{- $own = append $own (include "porthole-agent.browserImage" .) -}}
{{- $own = append $own (include "porthole-agent.desktopImage" .) -}}
{{- range .Values.policy.allowedImages }}{{ $own = append $own . }}{{ end -}}
{{- join "," $own -}}
{{- end -}}

{{- define "porthole-agent.recordings" -}}
{{- if .Values.recordings.existingClaim -}}{{ .Values.recordings.existingClaim }}{{- else -}}{{ include "porthole-agent.name" . }}-recordings{{- end -}}
{{- end -}}

{{- define "porthole-agent.image" -}}
{{- if .Values.image -}}{{ .Values.image }}{{- else -}}{{ .Values.images.prefix }}/agent:{{ .Values.images.tag }}{{- end -}}
{{- end -}}

{{- define "porthole-agent.browserImage" -}}
{{- if .Values.sessions.images.browser -}}{{ .Values.sessions.images.browser }}{{- else -}}{{ .Values.images.prefix }}/browser:{{ .Values.images.tag }}{{- end -}}
{{- end -}}

{{- define "porthole-agent.desktopImage" -}}
{{- if .Values.sessions.images.desktop -}}{{ .Values.sessions.images.desktop }}{{- else -}}{{ .Values.images.prefix }}/desktop:{{ .Values.images.tag }}{{- end -}}
{{- end -}}

{{- define "porthole-agent.displayImage" -}}
{{- if .Values.sessions.images.display -}}{{ .Values.sessions.images.display }}{{- else -}}{{ .Values.images.prefix }}/display:{{ .Values.images.tag }}{{- end -}}
{{- end -}}
