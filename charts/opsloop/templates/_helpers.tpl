{{- define "opsloop.fullname" -}}
{{- default .Release.Name .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Cluster-scoped names hold the namespace, so that two installs do not collide. */}}
{{- define "opsloop.clusterName" -}}
{{- printf "%s-%s" (include "opsloop.fullname" .) .Release.Namespace -}}
{{- end -}}

{{- define "opsloop.selector" -}}
app.kubernetes.io/name: opsloop
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "opsloop.labels" -}}
{{ include "opsloop.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: opsloop
{{- end -}}

{{- define "opsloop.image" -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}

{{- define "opsloop.subject" -}}
- kind: ServiceAccount
  name: {{ include "opsloop.fullname" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}

{{/* What it needs in a namespace that it looks after. */}}
{{- define "opsloop.rules" -}}
- apiGroups: [opsloop.dev]
  resources: [releases, incidents, runbooks, evalcases]
  verbs: [get, list, watch]
- apiGroups: [opsloop.dev]
  resources: [incidents, evalcases]
  verbs: [create]
- apiGroups: [opsloop.dev]
  resources: [releases/status, incidents/status, runbooks/status, evalcases/status]
  verbs: [update]
- apiGroups: [apps]
  resources: [deployments]  # patch: the pod template of yours; the rest: the canary beside it
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [controllerrevisions]  # the pod templates of revisions
  verbs: [get, list, create, delete]
- apiGroups: [""]
  resources: [pods]  # create, delete: quarantined pods that prove a regression case
  verbs: [list, create, delete]
- apiGroups: [""]
  resources: [pods/status]  # the readiness gate of canary pods
  verbs: [patch]
- apiGroups: [""]
  resources: [services]
  verbs: [list]
- apiGroups: [""]
  resources: [configmaps]  # intake, ledgers, postmortems
  verbs: [get, list, create, update, patch, delete]
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- end -}}
